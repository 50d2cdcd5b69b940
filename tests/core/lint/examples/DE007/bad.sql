-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL DEFAULT 0, CONSTRAINT parcels_area CHECK (area >= 0));
-- file: 002_loose.sql
ALTER TABLE parcels DROP CONSTRAINT IF EXISTS parcels_area;
ALTER TABLE parcels ALTER COLUMN area DROP NOT NULL, ALTER COLUMN area DROP DEFAULT;
