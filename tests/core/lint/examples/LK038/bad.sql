-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamp);
CREATE MATERIALIZED VIEW IF NOT EXISTS crops_grown AS SELECT DISTINCT crop FROM parcels;
CREATE UNIQUE INDEX IF NOT EXISTS crops_grown_crop ON crops_grown (crop);
-- file: 002_change.sql
-- claims: lock AccessExclusive on crops_grown
-- claims: rewrite crops_grown
REFRESH MATERIALIZED VIEW crops_grown;
