-- BREAKING: the application asks for title from release 12 on
DO $$
BEGIN
    IF EXISTS (SELECT FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 'parcels' AND column_name = 'name') THEN
        ALTER TABLE parcels RENAME COLUMN name TO title;
    END IF;
END
$$;
