CREATE TABLE IF NOT EXISTS visits (id serial PRIMARY KEY, parcel bigint NOT NULL);
