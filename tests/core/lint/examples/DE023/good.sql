-- BREAKING: the copies of 2023 are in the archive
DROP TABLE IF EXISTS old_parcels;
