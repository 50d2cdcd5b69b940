CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius float8);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
