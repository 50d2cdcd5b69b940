ALTER TABLE parcels DISABLE TRIGGER parcels_touch;
UPDATE parcels SET crop = 'wheat' WHERE crop = 'Wheat';
ALTER TABLE parcels ENABLE TRIGGER parcels_touch;
