-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE OR REPLACE FUNCTION next_label() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'label'; END $$;
-- file: 002_change.sql
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS label text;
ALTER TABLE parcels ALTER COLUMN label SET DEFAULT next_label();
