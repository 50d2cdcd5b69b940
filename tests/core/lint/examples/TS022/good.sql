-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_columnstore.sql
ALTER TABLE readings SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
CALL add_columnstore_policy('readings', INTERVAL '7 days', if_not_exists => true);
-- file: 003_state.sql
ALTER TABLE readings ADD COLUMN IF NOT EXISTS state int DEFAULT 5;
SELECT compress_chunk(decompress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass))
  FROM timescaledb_information.chunks
 WHERE hypertable_name = 'readings' AND is_compressed;
-- file: 004_order.sql
-- tidelock: allow LK030: one chunk after the other, and nobody is there on Sundays
CLUSTER readings USING readings_time_idx;
