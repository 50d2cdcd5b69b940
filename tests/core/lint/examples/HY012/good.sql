CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
