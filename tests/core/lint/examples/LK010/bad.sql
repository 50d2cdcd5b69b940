-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
-- claims: lock AccessExclusive on parcels
-- claims: scan parcels
ALTER TABLE parcels ADD CONSTRAINT parcels_area_check CHECK (area > 0);
