-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_device.sql
CREATE INDEX IF NOT EXISTS readings_device ON readings (device) WITH (timescaledb.transaction_per_chunk);
