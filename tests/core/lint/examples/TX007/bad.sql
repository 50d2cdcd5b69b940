-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS parcels (
    id bigint PRIMARY KEY,
    crop text REFERENCES crops (code) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX IF NOT EXISTS parcels_crop ON parcels (crop);
-- file: 002_change.sql
-- claims: error 55006
BEGIN;
UPDATE parcels SET crop = 'x1' WHERE id = 2;
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS owner text;
COMMIT;
