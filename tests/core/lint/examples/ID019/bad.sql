CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text NOT NULL);
INSERT INTO crops (code, name) VALUES ('oat', 'Oat');
