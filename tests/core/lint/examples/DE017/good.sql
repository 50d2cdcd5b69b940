REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON parcels FROM dashboard;
GRANT SELECT ON parcels TO dashboard;
