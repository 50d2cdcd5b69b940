DELETE FROM parcels;
