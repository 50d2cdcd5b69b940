-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (id bigint GENERATED ALWAYS AS IDENTITY, time timestamptz NOT NULL, device int, PRIMARY KEY (id, time));
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_key.sql
CREATE UNIQUE INDEX IF NOT EXISTS readings_device_time ON readings (device, time);
