CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, sown_on date, user_name text);
