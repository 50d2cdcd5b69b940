-- BREAKING: dashboard has been replaced by reader, and nobody has logged in as it since May
DROP ROLE IF EXISTS dashboard;
