-- BREAKING: nothing has been in archive since 2024
DROP SCHEMA IF EXISTS archive;
