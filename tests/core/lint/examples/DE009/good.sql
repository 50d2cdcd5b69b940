DELETE FROM parcels WHERE harvested_at < '2020-01-01';
