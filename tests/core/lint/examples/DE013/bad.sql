SELECT drop_chunks('readings', older_than => INTERVAL '1 year');
