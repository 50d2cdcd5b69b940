-- file: 1_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
-- file: 9-crops.sql
CREATE TABLE IF NOT EXISTS crops (id bigint PRIMARY KEY);
-- file: 10_fields.sql
CREATE TABLE IF NOT EXISTS fields (id bigint PRIMARY KEY);
