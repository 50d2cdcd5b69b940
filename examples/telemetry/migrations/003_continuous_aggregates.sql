-- WITH NO DATA, so that it can share a transaction; the policy and 006 fill it.
-- The policy looks back 3 days and raw data is kept for 90 (005): a refresh never reads a range that is gone,
-- which would erase its buckets.

CREATE MATERIALIZED VIEW IF NOT EXISTS energy_hourly
WITH (timescaledb.continuous) AS
SELECT time_bucket(interval '1 hour', time) AS bucket,
       meter_id,
       avg(watts) AS avg_watts,
       max(watts) AS max_watts,
       max(total_kwh) - min(total_kwh) AS kwh,
       count(*) AS readings
FROM energy_consumption
GROUP BY bucket, meter_id
WITH NO DATA;

SELECT add_continuous_aggregate_policy('energy_hourly',
    start_offset => interval '3 days',
    end_offset => interval '1 hour',
    schedule_interval => interval '1 hour',
    if_not_exists => true);
