CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, tenant text NOT NULL);
CREATE POLICY parcels_of_tenant ON parcels USING (tenant = current_setting('app.tenant'));
