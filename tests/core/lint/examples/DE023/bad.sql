DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'old\_%' LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END $$;
