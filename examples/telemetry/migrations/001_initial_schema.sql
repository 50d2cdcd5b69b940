-- Two hypertables. A UNIQUE or PRIMARY KEY of a hypertable has to contain the time column.

CREATE EXTENSION IF NOT EXISTS timescaledb;

CREATE TABLE IF NOT EXISTS temperature_readings (
    time       timestamptz NOT NULL,
    device_id  text NOT NULL,
    celsius    double precision NOT NULL,
    PRIMARY KEY (device_id, time)
);

SELECT create_hypertable('temperature_readings', 'time', chunk_time_interval => interval '7 days', if_not_exists => true);

CREATE TABLE IF NOT EXISTS energy_consumption (
    time       timestamptz NOT NULL,
    meter_id   text NOT NULL,
    watts      double precision NOT NULL,
    total_kwh  double precision,
    PRIMARY KEY (meter_id, time)
);

SELECT create_hypertable('energy_consumption', 'time', chunk_time_interval => interval '7 days', if_not_exists => true);
