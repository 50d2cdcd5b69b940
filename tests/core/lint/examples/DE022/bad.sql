-- BREAKING: a new table
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
