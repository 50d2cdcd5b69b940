-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, crop text REFERENCES crops (code));
-- file: 002_change.sql
-- claims: scan parcels
INSERT INTO crops (code) VALUES ('none');
DELETE FROM crops WHERE code = 'none';
