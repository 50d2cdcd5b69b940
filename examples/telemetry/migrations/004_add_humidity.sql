-- Add column if it doesn't exist
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM information_schema.columns
        WHERE table_name = 'temperature_readings'
        AND column_name = 'humidity'
    ) THEN
        ALTER TABLE temperature_readings
        ADD COLUMN humidity DOUBLE PRECISION;
    END IF;
END $$;
