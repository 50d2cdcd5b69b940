CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
CREATE INDEX IF NOT EXISTS parcels_area ON parcels (area);
