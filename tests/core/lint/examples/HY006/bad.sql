-- file: 001_ledger.sql
CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, description text, applied_at timestamptz DEFAULT now());
INSERT INTO schema_migrations (version, name) VALUES (1, 'Ledger');
