REVOKE INSERT ON parcels FROM dashboard;
