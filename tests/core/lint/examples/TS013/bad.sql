-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int);
-- claims: timescale notice smaller than one second
SELECT create_hypertable('readings', 'time', chunk_time_interval => 7, if_not_exists => true);
