-- Fallback for the critical table ndvi_results: runs when migrations/006_ndvi_tables.sql could not be applied,
-- so that the application can start. Keep it as that migration has it, and able to run twice; the migration, once
-- mended, has to accept what is here.

CREATE TABLE IF NOT EXISTS ndvi_results (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       uuid NOT NULL REFERENCES ndvi_jobs (id) ON DELETE CASCADE,
    parcel_id    bigint NOT NULL REFERENCES parcels (id) ON DELETE CASCADE,
    taken_on     date NOT NULL,
    mean         real NOT NULL CHECK (mean BETWEEN -1 AND 1),
    cloud_share  real NOT NULL DEFAULT 0 CHECK (cloud_share BETWEEN 0 AND 1),
    raster_url   text,
    UNIQUE (job_id, taken_on)
);
