-- file: 001_start.sql
CREATE TABLE IF NOT EXISTS leases (id bigint PRIMARY KEY, during daterange);
-- file: 002_change.sql
-- claims: lock AccessExclusive on leases
-- claims: scan leases
ALTER TABLE leases ADD CONSTRAINT leases_apart EXCLUDE USING gist (during WITH &&);
