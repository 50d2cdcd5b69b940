DROP VIEW IF EXISTS large_parcels;
CREATE VIEW large_parcels AS SELECT 1 AS id, 'wheat' AS crop;
DROP FUNCTION IF EXISTS hectares(numeric);
CREATE FUNCTION hectares(area numeric) RETURNS double precision LANGUAGE sql AS 'SELECT area / 10000';
