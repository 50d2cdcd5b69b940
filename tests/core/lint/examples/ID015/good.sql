CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'parcels'::regclass AND conname = 'parcels_area') THEN
        ALTER TABLE parcels ADD CONSTRAINT parcels_area CHECK (area > 0);
    END IF;
END
$$;
