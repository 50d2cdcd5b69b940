ALTER TABLE parcels RENAME TO fields;
ALTER TABLE crops RENAME COLUMN name TO title;
ALTER TYPE parcel_status RENAME VALUE 'sown' TO 'seeded';
