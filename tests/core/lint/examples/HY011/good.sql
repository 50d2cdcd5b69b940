CREATE OR REPLACE FUNCTION parcels_of(tenant text) RETURNS bigint LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
AS 'SELECT count(*) FROM parcels';
