-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
-- file: 002_area.sql
CREATE INDEX CONCURRENTLY IF NOT EXISTS parcels_area ON parcels (area);
