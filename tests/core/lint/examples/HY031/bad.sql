DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'parcels\_%' LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS note text', name);
    END LOOP;
END $$;
