-- file: 001_readings.sql
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision, level int);
SELECT create_hypertable('readings', 'time', if_not_exists => true);
-- file: 002_rule.sql
CREATE OR REPLACE FUNCTION without_null() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN CASE WHEN new.celsius IS NULL THEN NULL ELSE new END; END $$;
CREATE OR REPLACE TRIGGER quiet BEFORE INSERT ON readings FOR EACH ROW EXECUTE FUNCTION without_null();
