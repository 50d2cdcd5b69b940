-- Fill the aggregate from the raw data that is there. No transaction may hold this call, and it starts where raw
-- data starts: refreshing further back would erase buckets whose rows have been dropped.

CALL refresh_continuous_aggregate('energy_hourly', now() - interval '30 days', now() - interval '1 hour');
