CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text REFERENCES crops (code));
CREATE INDEX IF NOT EXISTS parcels_crop ON parcels (crop);
