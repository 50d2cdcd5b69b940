-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
-- file: 002_change.sql
ALTER TABLE parcels ADD CONSTRAINT parcels_crop_not_null CHECK (crop IS NOT NULL) NOT VALID;
-- file: 003_change.sql
ALTER TABLE parcels VALIDATE CONSTRAINT parcels_crop_not_null;
ALTER TABLE parcels ALTER COLUMN crop SET NOT NULL;
ALTER TABLE parcels DROP CONSTRAINT parcels_crop_not_null;
