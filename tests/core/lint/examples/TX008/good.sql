-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
BEGIN;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
UPDATE parcels SET crop = 'oat' WHERE crop = 'oats';
COMMIT;
