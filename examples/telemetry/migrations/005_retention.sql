-- Raw energy readings are kept for 90 days; energy_hourly keeps their history for ever.

SELECT add_retention_policy('energy_consumption', interval '90 days', if_not_exists => true);
