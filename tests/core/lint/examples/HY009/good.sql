CREATE TABLE IF NOT EXISTS farm.parcels (id bigint PRIMARY KEY);
BEGIN;
SET LOCAL search_path = farm, public;
COMMENT ON TABLE parcels IS 'a piece of land';
COMMIT;
