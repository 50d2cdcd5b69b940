CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, country char(2) NOT NULL);
