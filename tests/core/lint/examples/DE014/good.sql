-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, celsius double precision);
SELECT create_hypertable('readings', by_range('time'), if_not_exists => TRUE);
SELECT add_retention_policy('readings', INTERVAL '90 days', if_not_exists => TRUE);
-- file: 002_longer.sql
SELECT remove_retention_policy('readings', if_exists => TRUE);
SELECT add_retention_policy('readings', INTERVAL '1 year', if_not_exists => TRUE);
