-- file: 001_start.sql
CREATE TYPE stage AS ENUM ('planned', 'sown', 'harvested');
-- file: 002_change.sql
ALTER TYPE stage ADD VALUE IF NOT EXISTS 'sprouted';
