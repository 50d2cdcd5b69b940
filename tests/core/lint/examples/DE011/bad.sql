-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, visits bigint NOT NULL, name text NOT NULL, seen timestamptz);
-- file: 002_narrow.sql
ALTER TABLE parcels ALTER COLUMN visits TYPE integer, ALTER COLUMN name TYPE varchar(40), ALTER COLUMN seen TYPE date;
