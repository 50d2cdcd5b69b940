ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop_code text;
UPDATE parcels SET crop_code = left(crop, 3);
UPDATE parcels SET crop = 'wheat' WHERE crop IS NULL;
