CREATE SCHEMA farm;
CREATE SEQUENCE farm.invoice_numbers;
CREATE EXTENSION pg_trgm;
