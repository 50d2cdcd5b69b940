-- Fallback for the critical table marketplace_modules: runs when migrations/024_module_registry.sql could not be applied,
-- so that the application can start. Keep it as that migration has it, and able to run twice; the migration, once
-- mended, has to accept what is here.

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
