-- file: 001_start.sql
DO $$ BEGIN IF to_regtype('positive') IS NULL THEN CREATE DOMAIN positive AS int CHECK (VALUE > 0); END IF; END $$;
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, name varchar(20));
-- file: 002_change.sql
-- claims: lock AccessExclusive on parcels
-- claims: rewrite parcels
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS trees positive;
