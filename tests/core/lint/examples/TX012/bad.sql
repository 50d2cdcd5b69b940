-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, code text);
-- file: 002_index.sql
-- claims: error 25001
DO $$ BEGIN CREATE INDEX CONCURRENTLY IF NOT EXISTS parcels_code ON parcels (code); END $$;
