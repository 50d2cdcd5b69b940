CREATE TABLE IF NOT EXISTS visits (parcel bigint NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (parcel, at));
CREATE TABLE IF NOT EXISTS readings (time timestamptz NOT NULL, celsius double precision);
SELECT create_hypertable('readings', by_range('time'), if_not_exists => TRUE);
