-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius float8);
-- file: 002_hypertable.sql
SELECT create_hypertable('readings', 'time', if_not_exists => true);
