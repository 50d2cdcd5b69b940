-- Raw readings go into the columnstore after 14 days: later than the refresh policies look back, so that a late
-- reading still lands in plain rows.

ALTER TABLE energy_consumption SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'meter_id',
    timescaledb.orderby = 'time DESC'
);

CALL add_columnstore_policy('energy_consumption', after => interval '14 days', if_not_exists => true);
