-- file: 001_parcels.sql
CREATE TABLE IF NOT EXISTS parcels (id bigint NOT NULL, sown_on date NOT NULL) PARTITION BY RANGE (sown_on);
CREATE TABLE IF NOT EXISTS parcels_2026 (id bigint NOT NULL, sown_on date NOT NULL);
-- file: 002_attach.sql
ALTER TABLE parcels ATTACH PARTITION parcels_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
