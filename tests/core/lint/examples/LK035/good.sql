-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE OR REPLACE TRIGGER parcels_touch BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION touch();
-- file: 002_change.sql
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE parcels SET crop = 'oat' WHERE crop = 'oats';
COMMIT;
