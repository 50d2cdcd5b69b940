CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, name varchar(40) NOT NULL);
