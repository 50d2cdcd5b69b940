CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
CREATE INDEX parcels_area ON parcels (area);
CREATE INDEX ON parcels (area, id);
