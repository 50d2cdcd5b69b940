-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
-- file: 002_crop.sql
ALTER TABLE parcels ADD COLUMN crop text, ADD "sownOn" date;
