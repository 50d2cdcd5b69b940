-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_columnstore.sql
ALTER TABLE readings SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
-- file: 003_policy.sql
CALL add_columnstore_policy('readings', INTERVAL '7 days', if_not_exists => true);
