CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, name text NOT NULL CHECK (length(name) <= 40));
