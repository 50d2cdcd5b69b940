-- BREAKING: the application asks for title from release 12 on
ALTER TABLE parcels RENAME COLUMN name TO title;
