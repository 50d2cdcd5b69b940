-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text REFERENCES crops (code));
-- file: 002_empty.sql
TRUNCATE crops CASCADE;
