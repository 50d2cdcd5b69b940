-- Fallback for the critical table tenant_installed_modules: runs when migrations/024_module_registry.sql could not be applied,
-- so that the application can start. Keep it as that migration has it, and able to run twice; the migration, once
-- mended, has to accept what is here.

CREATE TABLE IF NOT EXISTS tenant_installed_modules (
    tenant_id      bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    module_id      text NOT NULL REFERENCES marketplace_modules (id) ON DELETE CASCADE,
    is_enabled     boolean NOT NULL DEFAULT true,
    configuration  jsonb NOT NULL DEFAULT '{}',
    installed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, module_id)
);

CREATE INDEX IF NOT EXISTS tenant_installed_modules_module ON tenant_installed_modules (module_id);
