DROP OWNED BY dashboard;
DROP ROLE IF EXISTS dashboard;
