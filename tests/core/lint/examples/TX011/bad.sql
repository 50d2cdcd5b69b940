-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
-- claims: setting lock_timeout = 0
SET lock_timeout = 0;
