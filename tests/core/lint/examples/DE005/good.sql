DROP TYPE IF EXISTS parcel_summary;
CREATE TYPE parcel_summary AS (id bigint, area numeric);
