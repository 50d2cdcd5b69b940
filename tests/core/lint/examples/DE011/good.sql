-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, name varchar(20) NOT NULL);
-- file: 002_wide.sql
ALTER TABLE parcels ALTER COLUMN name TYPE varchar(40);
