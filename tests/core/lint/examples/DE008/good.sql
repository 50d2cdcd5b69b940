-- BREAKING: the catalogue is loaded anew by the next release
TRUNCATE crops;
