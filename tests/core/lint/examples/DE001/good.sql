-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS old_parcels (id bigint PRIMARY KEY);
CREATE TEMPORARY TABLE import (id bigint);
DROP TABLE import;
-- file: 002_drop.sql
-- BREAKING: release 12 reads parcels only, and old_parcels has been exported
DROP TABLE IF EXISTS old_parcels;
