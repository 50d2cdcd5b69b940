CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text);
CREATE PUBLICATION warehouse FOR TABLE parcels;
