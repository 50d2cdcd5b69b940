CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, country text NOT NULL CHECK (length(country) = 2));
