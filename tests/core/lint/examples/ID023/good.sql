DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM timescaledb_information.jobs WHERE proc_name = 'refresh_report') THEN
        PERFORM add_job('refresh_report', '1 hour');
    END IF;
END
$$;
