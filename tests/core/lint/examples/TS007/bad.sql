-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, time timestamptz NOT NULL, device int);
-- claims: timescale error TS103
SELECT create_hypertable('readings', 'time', if_not_exists => true);
