-- The chart of a parcel reads by parcel and day. Built concurrently, so that results can be written meanwhile;
-- PostgreSQL allows that outside a transaction only, and so it stands alone in its file.

CREATE INDEX CONCURRENTLY IF NOT EXISTS ndvi_results_parcel_day ON ndvi_results (parcel_id, taken_on DESC);
