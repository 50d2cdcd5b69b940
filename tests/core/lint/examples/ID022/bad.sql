SELECT remove_compression_policy('readings');
