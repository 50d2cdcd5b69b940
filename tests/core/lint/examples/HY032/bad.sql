CREATE OR REPLACE FUNCTION is_large(area numeric) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF area > 100 THEN
        RETURN true;
    RETURN false;
END $$;
