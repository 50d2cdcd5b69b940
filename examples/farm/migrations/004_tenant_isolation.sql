-- Row level security: a session sees the parcels of the tenant that it names in app.tenant_id, and no others.

ALTER TABLE parcels ENABLE ROW LEVEL SECURITY;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_policies
        WHERE schemaname = current_schema() AND tablename = 'parcels' AND policyname = 'parcels_of_tenant'
    ) THEN
        CREATE POLICY parcels_of_tenant ON parcels
            USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::bigint);
    END IF;
END
$$;
