-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
CREATE UNIQUE INDEX CONCURRENTLY parcels_name_key ON parcels (name);
ALTER TABLE parcels ADD CONSTRAINT parcels_name_key UNIQUE USING INDEX parcels_name_key;
