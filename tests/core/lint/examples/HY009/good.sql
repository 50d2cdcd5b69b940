CREATE TABLE IF NOT EXISTS farm.parcels (id bigint PRIMARY KEY);
SET LOCAL search_path = farm, public;
