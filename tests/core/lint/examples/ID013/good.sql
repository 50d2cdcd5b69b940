-- BREAKING: nobody reads the old view any more
DROP VIEW IF EXISTS large_parcels;
DROP TRIGGER IF EXISTS parcels_touch ON parcels;
ALTER TABLE parcels DROP COLUMN IF EXISTS crop, DROP CONSTRAINT IF EXISTS parcels_area_check;
