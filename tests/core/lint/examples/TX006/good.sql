-- file: 001_start.sql
CREATE TYPE stage AS ENUM ('planned', 'sown', 'harvested');
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, stage stage);
-- file: 002_change.sql
ALTER TYPE stage ADD VALUE IF NOT EXISTS 'fallow' BEFORE 'planned';
-- file: 003_change.sql
UPDATE parcels SET stage = 'fallow' WHERE stage IS NULL;
