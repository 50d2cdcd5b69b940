CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dashboard') THEN
        CREATE ROLE dashboard LOGIN;
    END IF;
END
$$;
GRANT SELECT ON parcels TO dashboard, PUBLIC;
