-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (id bigint NOT NULL, n int) PARTITION BY RANGE (id);
CREATE TABLE IF NOT EXISTS readings_0 (id bigint NOT NULL, n int);
-- file: 002_change.sql
ALTER TABLE readings_0 ADD CONSTRAINT readings_0_bounds CHECK (id >= 0 AND id < 1000) NOT VALID;
-- file: 003_change.sql
ALTER TABLE readings_0 VALIDATE CONSTRAINT readings_0_bounds;
ALTER TABLE readings ATTACH PARTITION readings_0 FOR VALUES FROM (0) TO (1000);
