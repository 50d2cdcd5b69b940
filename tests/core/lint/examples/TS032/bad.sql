-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int);
-- file: 002_retention.sql
-- claims: timescale error TS001
SELECT add_retention_policy('readings', INTERVAL '30 days', if_not_exists => true);
