-- file: 001.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
-- file: 002_AddCrop.sql
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop text;
