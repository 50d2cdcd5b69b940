\c farm
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
