-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE INDEX IF NOT EXISTS parcels_crop ON parcels (crop);
-- file: 002_change.sql
ALTER TABLE parcels ADD CONSTRAINT parcels_crop_fkey FOREIGN KEY (crop) REFERENCES crops (code) NOT VALID;
-- file: 003_change.sql
ALTER TABLE parcels VALIDATE CONSTRAINT parcels_crop_fkey;
