UPDATE parcels SET crop = 'wheat';
