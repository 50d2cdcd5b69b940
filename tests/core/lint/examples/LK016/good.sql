-- file: 001_start.sql
CREATE DOMAIN hectares AS numeric;
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area hectares);
-- file: 002_change.sql
ALTER DOMAIN hectares ADD CONSTRAINT hectares_positive CHECK (value > 0) NOT VALID;
