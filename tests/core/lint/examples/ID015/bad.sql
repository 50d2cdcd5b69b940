CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric NOT NULL);
ALTER TABLE parcels ADD CONSTRAINT parcels_area CHECK (area > 0);
ALTER TABLE parcels ADD CHECK (area < 100000);
