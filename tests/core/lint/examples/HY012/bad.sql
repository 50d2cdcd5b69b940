CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, created_at timestamp NOT NULL DEFAULT now());
