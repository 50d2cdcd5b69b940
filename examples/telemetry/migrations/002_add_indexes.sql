-- Hypertables refuse CONCURRENTLY. While the tables are small a plain index is right; later, build it with
-- WITH (timescaledb.transaction_per_chunk), one hypertable in a file.
-- tidelock: allow TS002: the tables are new and small
-- tidelock: allow TS014: the tables are new and small

CREATE INDEX IF NOT EXISTS temperature_readings_time ON temperature_readings (time DESC);
CREATE INDEX IF NOT EXISTS energy_consumption_time ON energy_consumption (time DESC);
