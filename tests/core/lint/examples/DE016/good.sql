-- BREAKING: archive is in the search_path of every role since release 11
ALTER TABLE parcels SET SCHEMA archive;
