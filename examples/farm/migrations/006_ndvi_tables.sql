-- NDVI processing: a job asks for a parcel and a period, a result is one scene of it.
-- The application cannot start without these two tables.

CREATE TABLE IF NOT EXISTS ndvi_jobs (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id     bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    parcel_id     bigint NOT NULL REFERENCES parcels (id) ON DELETE CASCADE,
    period        daterange NOT NULL,
    status        text NOT NULL DEFAULT 'queued'
                  CHECK (status IN ('queued', 'running', 'completed', 'failed')),
    error         text,
    requested_at  timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CONSTRAINT ndvi_jobs_failed_has_error CHECK (status <> 'failed' OR error IS NOT NULL)
);

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

CREATE INDEX IF NOT EXISTS ndvi_jobs_tenant ON ndvi_jobs (tenant_id);
CREATE INDEX IF NOT EXISTS ndvi_jobs_parcel ON ndvi_jobs (parcel_id);
CREATE INDEX IF NOT EXISTS ndvi_jobs_queue ON ndvi_jobs (requested_at) WHERE status = 'queued';
