ALTER TABLE parcels DISABLE TRIGGER parcels_audit;
DROP TRIGGER IF EXISTS parcels_touch ON parcels;
