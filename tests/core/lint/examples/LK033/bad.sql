-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (id bigint NOT NULL, n int) PARTITION BY RANGE (id);
CREATE TABLE IF NOT EXISTS readings_0 PARTITION OF readings FOR VALUES FROM (0) TO (1000);
-- file: 002_change.sql
-- claims: lock AccessExclusive on readings
ALTER TABLE readings DETACH PARTITION readings_0;
