-- file: 004_add_humidity.sql
ALTER TABLE readings ADD COLUMN IF NOT EXISTS humidity double precision;
INSERT INTO schema_migrations (version, description) VALUES (4, 'Add humidity column');
