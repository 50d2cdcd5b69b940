-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (id bigint NOT NULL, n int) PARTITION BY RANGE (id);
CREATE TABLE IF NOT EXISTS readings_0 (id bigint NOT NULL, n int);
-- file: 002_change.sql
-- claims: lock AccessExclusive on readings_0
-- claims: scan readings_0
ALTER TABLE readings ATTACH PARTITION readings_0 FOR VALUES FROM (0) TO (1000);
