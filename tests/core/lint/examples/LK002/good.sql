-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE IF NOT EXISTS readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
-- file: 002_change.sql
CREATE INDEX IF NOT EXISTS readings_id ON ONLY readings (id);
-- file: 003_change.sql
CREATE INDEX CONCURRENTLY readings_2026_id ON readings_2026 (id);
-- file: 004_change.sql
ALTER INDEX readings_id ATTACH PARTITION readings_2026_id;
