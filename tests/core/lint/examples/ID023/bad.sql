SELECT add_job('refresh_report', '1 hour');
