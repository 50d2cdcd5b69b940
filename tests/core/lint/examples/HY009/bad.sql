SET search_path = farm, public;
CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
