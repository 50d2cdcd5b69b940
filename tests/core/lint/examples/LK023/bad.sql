-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE OR REPLACE FUNCTION next_label() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'label'; END $$;
-- file: 002_change.sql
-- claims: lock AccessExclusive on parcels
-- claims: rewrite parcels
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS label text DEFAULT next_label();
