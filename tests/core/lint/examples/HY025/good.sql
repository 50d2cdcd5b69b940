UPDATE parcels SET note = E'first line\nsecond line' WHERE id = 1;
