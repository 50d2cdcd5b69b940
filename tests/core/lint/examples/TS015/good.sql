-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_retention.sql
SELECT add_retention_policy('readings', INTERVAL '30 days', if_not_exists => true);
-- file: 003_pause.sql
SELECT alter_job(job_id, scheduled => false)
  FROM timescaledb_information.jobs
 WHERE proc_name = 'policy_retention' AND hypertable_name = 'readings';
