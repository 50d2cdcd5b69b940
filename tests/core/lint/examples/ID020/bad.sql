UPDATE parcels SET visits = visits + 1 WHERE crop = 'oat';
