-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
-- file: 002_crops.sql
CREATE TABLE IF NOT EXISTS crops (id bigint PRIMARY KEY);
