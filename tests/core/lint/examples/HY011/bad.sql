CREATE OR REPLACE FUNCTION parcels_of(tenant text) RETURNS bigint LANGUAGE sql STABLE
AS 'SELECT count(*) FROM parcels';
