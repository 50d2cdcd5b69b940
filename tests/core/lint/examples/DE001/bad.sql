-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS old_parcels (id bigint PRIMARY KEY);
-- file: 002_drop.sql
DROP TABLE IF EXISTS old_parcels;
