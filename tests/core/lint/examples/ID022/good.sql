SELECT remove_compression_policy('readings', if_exists => TRUE);
