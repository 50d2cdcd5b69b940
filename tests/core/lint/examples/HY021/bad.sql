CREATE TABLE IF NOT EXISTS visits (parcel bigint NOT NULL, at timestamptz NOT NULL);
