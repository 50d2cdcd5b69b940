-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS owner text;
-- file: 003_change.sql
UPDATE parcels SET owner = crop WHERE crop IS NOT NULL;
