DROP VIEW IF EXISTS large_parcels;
DROP FUNCTION IF EXISTS hectares(numeric);
