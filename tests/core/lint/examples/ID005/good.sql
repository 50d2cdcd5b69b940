CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE OR REPLACE TRIGGER parcels_touch BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
