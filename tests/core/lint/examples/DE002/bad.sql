-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text);
CREATE OR REPLACE VIEW wheat AS SELECT id FROM parcels WHERE crop = 'wheat';
-- file: 002_drop.sql
ALTER TABLE parcels DROP COLUMN IF EXISTS crop;
