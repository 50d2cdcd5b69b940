-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_events.sql
CREATE TABLE IF NOT EXISTS events (time timestamptz NOT NULL, device int NOT NULL);
SELECT create_hypertable('events', 'time', if_not_exists => true);
-- file: 003_notes.sql
-- claims: timescale lock AccessExclusive on readings
-- claims: timescale lock AccessExclusive on events
ALTER TABLE readings ADD COLUMN IF NOT EXISTS note text;
ALTER TABLE events ADD COLUMN IF NOT EXISTS note text;
