UPDATE parcels SET visits = coalesce(visits, 1) WHERE crop = 'oat';
UPDATE parcels SET settings = settings || '{"seen": true}' WHERE crop = 'oat';
