-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL);
-- file: 002_first.sql
INSERT INTO readings (time, device) SELECT TIMESTAMPTZ '2026-01-01', 1 WHERE NOT EXISTS (SELECT FROM readings);
-- file: 003_hypertable.sql
CREATE TABLE IF NOT EXISTS readings_new (LIKE readings);
SELECT create_hypertable('readings_new', 'time', if_not_exists => true);
