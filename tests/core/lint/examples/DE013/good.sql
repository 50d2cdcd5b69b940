-- BREAKING: readings before 2025 are in the archive bucket
SELECT drop_chunks('readings', older_than => INTERVAL '1 year');
