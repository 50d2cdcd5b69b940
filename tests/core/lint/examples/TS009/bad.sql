-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_rule.sql
-- claims: timescale error 0A000
CREATE OR REPLACE RULE quiet AS ON INSERT TO readings WHERE new.celsius IS NULL DO INSTEAD NOTHING;
