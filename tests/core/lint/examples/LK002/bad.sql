-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE IF NOT EXISTS readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
-- file: 002_change.sql
-- claims: lock Share on readings
-- claims: lock Share on readings_2026
CREATE INDEX readings_id ON readings (id);
