ALTER TABLE parcels SET SCHEMA archive;
