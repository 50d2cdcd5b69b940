-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_interval.sql
-- claims: timescale changes nothing
SELECT create_hypertable('readings', 'time', chunk_time_interval => INTERVAL '30 days', if_not_exists => true);
