-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int);
-- file: 002_retention.sql
SELECT create_hypertable('readings', 'time', if_not_exists => true);
SELECT add_retention_policy('readings', INTERVAL '30 days', if_not_exists => true);
