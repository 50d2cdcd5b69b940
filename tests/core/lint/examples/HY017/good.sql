CREATE TABLE IF NOT EXISTS sales (id bigint PRIMARY KEY, price numeric(12, 2) NOT NULL);
