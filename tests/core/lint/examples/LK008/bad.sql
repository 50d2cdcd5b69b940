-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS stations (code text);
CREATE UNIQUE INDEX IF NOT EXISTS stations_pkey ON stations (code);
-- file: 002_change.sql
-- claims: lock AccessExclusive on stations
-- claims: scan stations
ALTER TABLE stations ADD CONSTRAINT stations_pkey PRIMARY KEY USING INDEX stations_pkey;
