-- The registry behind the page "gestión de módulos": what can be installed, and what a tenant has.
-- The application cannot start without these two tables.

CREATE TABLE IF NOT EXISTS marketplace_modules (
    id             text PRIMARY KEY,
    display_name   text NOT NULL,
    version        text NOT NULL,
    remote_entry   text NOT NULL,
    scope          text NOT NULL,
    metadata       jsonb NOT NULL DEFAULT '{}',
    is_active      boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS tenant_installed_modules (
    tenant_id      bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    module_id      text NOT NULL REFERENCES marketplace_modules (id) ON DELETE CASCADE,
    is_enabled     boolean NOT NULL DEFAULT true,
    configuration  jsonb NOT NULL DEFAULT '{}',
    installed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, module_id)
);

CREATE INDEX IF NOT EXISTS tenant_installed_modules_module ON tenant_installed_modules (module_id);

CREATE OR REPLACE TRIGGER marketplace_modules_touch BEFORE UPDATE ON marketplace_modules
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
