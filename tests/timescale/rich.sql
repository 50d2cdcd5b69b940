-- One of everything that TimescaleDB keeps, for 2.20 and later. The extension is there already.
CREATE SCHEMA metrics;
CREATE TABLE metrics.readings (time timestamptz NOT NULL, device text NOT NULL, value double precision, extra jsonb, UNIQUE (device, time));
SELECT create_hypertable('metrics.readings', 'time', chunk_time_interval => interval '1 day');
CREATE INDEX readings_value ON metrics.readings (value, time DESC);
CREATE TABLE metrics.spread (at timestamp NOT NULL, device integer NOT NULL, v integer);
SELECT create_hypertable('metrics.spread', by_range('at', interval '1 month'), create_default_indexes => false);
SELECT add_dimension('metrics.spread', by_hash('device', 4));
CREATE TABLE metrics.numbered (id bigint NOT NULL, v integer);
SELECT create_hypertable('metrics.numbered', by_range('id', 1000));
CREATE FUNCTION metrics.now_id() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT coalesce(max(id), 0) FROM metrics.numbered $$;
SELECT set_integer_now_func('metrics.numbered', 'metrics.now_id');
ALTER TABLE metrics.readings SET (timescaledb.compress, timescaledb.compress_segmentby = 'device', timescaledb.compress_orderby = 'time DESC, value ASC NULLS LAST', timescaledb.compress_chunk_time_interval = '7 days');

CREATE MATERIALIZED VIEW metrics.hourly WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket('1 hour', time) AS bucket, device, avg(value) AS mean, count(*) AS n FROM metrics.readings GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW metrics.daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS day, device, max(mean) AS top FROM metrics.hourly GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW metrics.local WITH (timescaledb.continuous, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 day', time, 'Europe/Madrid') AS day, sum(value) AS total FROM metrics.readings WHERE value > 0 GROUP BY 1 WITH NO DATA;
CREATE INDEX hourly_mean ON metrics.hourly (mean, bucket);
ALTER MATERIALIZED VIEW metrics.hourly SET (timescaledb.compress = true, timescaledb.compress_segmentby = 'device');
COMMENT ON VIEW metrics.hourly IS 'by hour';
CREATE VIEW metrics.latest AS SELECT device, max(bucket) AS seen FROM metrics.hourly GROUP BY device;

SELECT add_retention_policy('metrics.readings', interval '90 days');
SELECT add_retention_policy('metrics.numbered', bigint '50000');
SELECT add_compression_policy('metrics.readings', interval '14 days', schedule_interval => interval '6 hours');
SELECT add_continuous_aggregate_policy('metrics.hourly', start_offset => interval '3 days', end_offset => interval '1 hour', schedule_interval => interval '30 minutes');
SELECT add_continuous_aggregate_policy('metrics.daily', start_offset => NULL, end_offset => interval '1 day', schedule_interval => interval '1 day', buckets_per_batch => 5);
SELECT add_compression_policy('metrics.hourly', compress_after => interval '60 days');
SELECT add_reorder_policy('metrics.numbered', 'numbered_id_idx');
SELECT alter_job(job_id, max_runtime => interval '10 minutes', scheduled => false) FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' AND hypertable_name = 'readings';
CREATE PROCEDURE metrics.tidy(job_id integer, config jsonb) LANGUAGE plpgsql AS $$ BEGIN END $$;
SELECT add_job('metrics.tidy', '12 hours', config => '{"keep": 3}', timezone => 'Europe/Madrid');
SELECT add_job('metrics.tidy', '1 hour', config => '{"keep": 9}', fixed_schedule => false);
GRANT SELECT ON metrics.hourly TO pg_monitor;
CREATE TABLE metrics.plain (time timestamptz NOT NULL, "Device" text, v real);
SELECT create_hypertable('metrics.plain', 'time');
ALTER TABLE metrics.plain SET (timescaledb.compress);
CREATE TABLE metrics.modern (time timestamptz NOT NULL, device text, v real) WITH (tsdb.hypertable, tsdb.partition_column = 'time', tsdb.segmentby = 'device');
