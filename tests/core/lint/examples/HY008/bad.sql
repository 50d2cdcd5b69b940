CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
GRANT SELECT ON parcels TO dashboard;
