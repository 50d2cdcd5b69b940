-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS stations (code text NOT NULL);
-- file: 002_change.sql
-- claims: lock AccessExclusive on stations
-- claims: scan stations
ALTER TABLE stations ADD PRIMARY KEY (code);
