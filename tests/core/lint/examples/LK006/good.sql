-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS stations (code text NOT NULL);
-- file: 002_change.sql
CREATE UNIQUE INDEX CONCURRENTLY stations_pkey ON stations (code);
ALTER TABLE stations ADD CONSTRAINT stations_pkey PRIMARY KEY USING INDEX stations_pkey;
