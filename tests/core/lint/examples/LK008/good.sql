-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS stations (code text);
CREATE UNIQUE INDEX IF NOT EXISTS stations_pkey ON stations (code);
-- file: 002_change.sql
ALTER TABLE stations ADD CONSTRAINT stations_code_not_null CHECK (code IS NOT NULL) NOT VALID;
-- file: 003_change.sql
ALTER TABLE stations VALIDATE CONSTRAINT stations_code_not_null;
ALTER TABLE stations ALTER COLUMN code SET NOT NULL;
ALTER TABLE stations DROP CONSTRAINT stations_code_not_null;
ALTER TABLE stations ADD CONSTRAINT stations_pkey PRIMARY KEY USING INDEX stations_pkey;
