UPDATE parcels SET crop = 'wheat', area = 1, crop = 'oat' WHERE id = 1;
