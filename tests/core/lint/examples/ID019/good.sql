CREATE TABLE IF NOT EXISTS crops (code text PRIMARY KEY, name text NOT NULL);
INSERT INTO crops (code, name) VALUES ('oat', 'Oat') ON CONFLICT (code) DO NOTHING;
INSERT INTO crops (code, name) SELECT code, name FROM old_crops o WHERE NOT EXISTS (SELECT FROM crops c WHERE c.code = o.code);
