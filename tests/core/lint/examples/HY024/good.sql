UPDATE parcels SET crop = 'wheat', area = 1, corners[1] = 0, corners[2] = 5 WHERE id = 1;
