-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE INDEX IF NOT EXISTS parcels_crop ON parcels (crop);
-- file: 002_change.sql
DROP INDEX CONCURRENTLY IF EXISTS parcels_crop;
