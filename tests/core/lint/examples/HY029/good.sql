CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);
COMMENT ON TABLE parcels IS 'What a tenant farms';
