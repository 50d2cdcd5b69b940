-- Fallback for the critical table ndvi_jobs: runs when migrations/006_ndvi_tables.sql could not be applied,
-- so that the application can start. Keep it as that migration has it, and able to run twice; the migration, once
-- mended, has to accept what is here.

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

CREATE INDEX IF NOT EXISTS ndvi_jobs_queue ON ndvi_jobs (requested_at) WHERE status = 'queued';
