-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int);
SELECT create_hypertable('readings', 'time', chunk_time_interval => INTERVAL '7 days', if_not_exists => true);
