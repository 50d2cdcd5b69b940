-- file: 001_módulos.sql
CREATE TABLE IF NOT EXISTS modules (id bigint PRIMARY KEY);
