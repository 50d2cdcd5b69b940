-- BREAKING: release 12 does without it
DROP TABLE IF EXISTS old_parcels;
