-- 180 days of readings, one every 10 minutes from three meters; the aggregates filled; then what the retention policy
-- does each day: raw readings older than 90 days go. From then on half of energy_hourly exists nowhere else.

INSERT INTO energy_consumption (time, meter_id, watts, total_kwh)
SELECT t, 'meter-' || m,
       500 + 400 * sin(extract(epoch FROM t) / 13751) + 40 * m,
       extract(epoch FROM t - (now() - interval '180 days')) / 3600 * 0.5
FROM generate_series(date_trunc('hour', now()) - interval '180 days', now(), interval '10 minutes') t,
     generate_series(1, 3) m
ON CONFLICT DO NOTHING;

CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL);
CALL refresh_continuous_aggregate('energy_daily', NULL, NULL);

SELECT count(*) AS chunks_dropped FROM drop_chunks('energy_consumption', older_than => interval '90 days');
