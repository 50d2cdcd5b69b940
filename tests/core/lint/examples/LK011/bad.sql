-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
-- claims: lock ShareRowExclusive on parcels
-- claims: lock ShareRowExclusive on crops
-- claims: scan parcels
ALTER TABLE parcels ADD CONSTRAINT parcels_crop_fkey FOREIGN KEY (crop) REFERENCES crops (code);
