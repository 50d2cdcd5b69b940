CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric CHECK (area > 0));
