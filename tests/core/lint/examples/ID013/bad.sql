-- BREAKING: nobody reads the old view and index any more
DROP VIEW large_parcels;
DROP INDEX CONCURRENTLY parcels_area;
DROP TRIGGER parcels_touch ON parcels;
ALTER TABLE parcels DROP COLUMN crop, DROP CONSTRAINT parcels_area_check;
