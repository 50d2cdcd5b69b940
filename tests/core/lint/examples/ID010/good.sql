-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, name text NOT NULL);
-- file: 002_parcels.sql
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop text;
