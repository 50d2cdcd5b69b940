-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_hourly.sql
-- claims: timescale error 25001
DO $$
BEGIN
    IF to_regclass('hourly') IS NULL THEN
        CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
        SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, avg(celsius) AS celsius FROM readings GROUP BY 1;
    END IF;
END $$;
