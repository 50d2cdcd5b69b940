-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_weekly.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS weekly WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '7 days', time) AS bucket, device, avg(celsius) AS celsius FROM readings GROUP BY 1, 2
WITH NO DATA;
-- file: 003_longer.sql
CREATE MATERIALIZED VIEW IF NOT EXISTS longer WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '28 days', bucket) AS bucket, device, max(celsius) AS celsius FROM weekly GROUP BY 1, 2
WITH NO DATA;
