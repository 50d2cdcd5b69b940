-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_device.sql
-- claims: timescale error 0A000
CREATE INDEX CONCURRENTLY IF NOT EXISTS readings_device ON readings (device);
