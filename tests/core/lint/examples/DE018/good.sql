DROP POLICY IF EXISTS parcels_of_tenant ON parcels;
CREATE POLICY parcels_of_tenant ON parcels USING (tenant = current_setting('app.tenant'));
