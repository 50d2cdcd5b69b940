-- Parcels: what a tenant farms. The outline is GeoJSON, so that PostGIS is not needed to start.

CREATE TABLE IF NOT EXISTS parcels (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        text NOT NULL,
    area_ha     numeric(10, 4) NOT NULL CHECK (area_ha > 0),
    outline     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);

CREATE OR REPLACE TRIGGER parcels_touch BEFORE UPDATE ON parcels
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
