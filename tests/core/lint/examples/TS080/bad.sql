-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_retention.sql
-- claims: timescale error 22023
SELECT add_retention_policy('readings', 30, if_not_exists => true);
