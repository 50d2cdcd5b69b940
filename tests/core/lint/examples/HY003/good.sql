-- file: 001_modules.sql
CREATE TABLE IF NOT EXISTS modules (id bigint PRIMARY KEY);
