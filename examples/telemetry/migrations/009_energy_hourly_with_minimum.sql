-- BREAKING: energy_hourly gets another definition; its history is kept, with min_watts NULL in it
-- tidelock: rebuild energy_hourly
--
-- A continuous aggregate cannot be redefined: it has to be dropped and created. Done by psql, that erases every hour
-- that is older than the 90 days of raw readings, and energy_daily with it, without a message. Tidelock keeps the
-- hours and puts back energy_daily, policies, grants, comments and indexes, all in one transaction; then it fills the
-- hours for which there are readings.

DROP MATERIALIZED VIEW IF EXISTS energy_hourly CASCADE;

CREATE MATERIALIZED VIEW energy_hourly
WITH (timescaledb.continuous) AS
SELECT time_bucket(interval '1 hour', time) AS bucket,
       meter_id,
       avg(watts) AS avg_watts,
       max(watts) AS max_watts,
       min(watts) AS min_watts,
       max(total_kwh) - min(total_kwh) AS kwh,
       count(*) AS readings
FROM energy_consumption
GROUP BY bucket, meter_id
WITH NO DATA;
