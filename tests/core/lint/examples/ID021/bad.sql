CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, celsius double precision);
SELECT create_hypertable('readings', by_range('time', INTERVAL '1 day'));
SELECT add_retention_policy('readings', INTERVAL '90 days');
