CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
\c reports
CREATE TABLE IF NOT EXISTS parcels_by_year (year int PRIMARY KEY);
