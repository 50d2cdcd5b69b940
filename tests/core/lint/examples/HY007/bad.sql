ALTER ROLE dashboard PASSWORD 'parcels2026';
-- psql postgres://dashboard:parcels2026@db/farm
