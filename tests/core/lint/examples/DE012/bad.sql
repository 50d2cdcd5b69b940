-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
CREATE OR REPLACE VIEW parcel_ids AS SELECT id FROM parcels;
-- file: 002_drop.sql
DROP TABLE IF EXISTS parcels CASCADE;
