-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text);
-- file: 002_drop.sql
-- BREAKING: crop has been in parcel_crops since release 11
ALTER TABLE parcels DROP COLUMN IF EXISTS crop;
