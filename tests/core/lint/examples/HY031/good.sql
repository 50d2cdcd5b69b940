DO $$
BEGIN
    EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS note text', 'parcels_2025');
    EXECUTE 'ALTER TABLE parcels_2026 ' || 'ADD COLUMN IF NOT EXISTS note text';
END $$;
