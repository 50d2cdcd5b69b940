DO $$
BEGIN
    IF to_regtype('parcel_status') IS NULL THEN
        CREATE TYPE parcel_status AS ENUM ('planned', 'sown', 'harvested');
    END IF;
END
$$;
