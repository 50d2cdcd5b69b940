CREATE TABLE IF NOT EXISTS farm.parcels (id bigint PRIMARY KEY);
