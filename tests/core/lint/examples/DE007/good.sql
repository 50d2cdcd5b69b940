-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL DEFAULT 0, CONSTRAINT parcels_area CHECK (area >= 0));
-- file: 002_tight.sql
ALTER TABLE parcels DROP CONSTRAINT IF EXISTS parcels_area, ADD CONSTRAINT parcels_area CHECK (area > 0) NOT VALID;
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop text NOT NULL DEFAULT 'wheat';
ALTER TABLE parcels ALTER COLUMN crop DROP DEFAULT;
