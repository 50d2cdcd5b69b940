-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_hourly.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS hourly WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, device, avg(celsius) AS celsius FROM readings GROUP BY 1, 2
WITH NO DATA;
SELECT add_continuous_aggregate_policy('hourly', start_offset => INTERVAL '3 days', end_offset => INTERVAL '1 hour',
    schedule_interval => INTERVAL '1 hour', if_not_exists => true);
-- file: 003_celsius.sql
-- claims: timescale error 0A000
ALTER TABLE readings ALTER COLUMN celsius TYPE real;
