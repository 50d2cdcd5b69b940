-- A day, from the hours beneath it. It looks back 10 days, and hours are never dropped: nothing erodes.

CREATE MATERIALIZED VIEW IF NOT EXISTS energy_daily
WITH (timescaledb.continuous) AS
SELECT time_bucket(interval '1 day', bucket) AS day,
       meter_id,
       max(max_watts) AS max_watts,
       sum(kwh) AS kwh,
       sum(readings) AS readings
FROM energy_hourly
GROUP BY day, meter_id
WITH NO DATA;

SELECT add_continuous_aggregate_policy('energy_daily',
    start_offset => interval '10 days',
    end_offset => interval '1 day',
    schedule_interval => interval '1 day',
    if_not_exists => true);
