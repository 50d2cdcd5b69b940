CREATE TABLE IF NOT EXISTS sales (id bigint PRIMARY KEY, price double precision NOT NULL);
