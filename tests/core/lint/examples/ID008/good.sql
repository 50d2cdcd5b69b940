DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dashboard') THEN
        CREATE ROLE dashboard LOGIN;
    END IF;
END
$$;
