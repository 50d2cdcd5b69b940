-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
CREATE OR REPLACE VIEW parcel_ids AS SELECT id FROM parcels;
-- file: 002_drop.sql
-- BREAKING: nobody has asked for parcels or parcel_ids since release 12
DROP VIEW IF EXISTS parcel_ids;
DROP TABLE IF EXISTS parcels;
