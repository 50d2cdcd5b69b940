-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS visits (id int PRIMARY KEY);
-- file: 002_change.sql
-- claims: lock AccessExclusive on visits
-- claims: rewrite visits
ALTER TABLE visits ALTER COLUMN id TYPE bigint;
