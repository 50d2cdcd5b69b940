CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
CREATE OR REPLACE VIEW large_parcels AS SELECT id FROM parcels WHERE area > 100;
DROP FUNCTION IF EXISTS hectares(numeric);
CREATE FUNCTION hectares(area numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT area / 10000';
