ALTER TABLE parcels RENAME TO fields;
CREATE VIEW parcels AS SELECT * FROM fields;
ALTER INDEX IF EXISTS parcels_pkey RENAME TO fields_pkey;
