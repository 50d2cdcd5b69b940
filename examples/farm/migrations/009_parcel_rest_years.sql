-- How many years a fallow parcel rests. Valid at once for new rows, checked for the old ones without a lock
-- that stops readers or writers: the lock of the first two statements is gone at COMMIT.

BEGIN;

ALTER TABLE parcels ADD COLUMN IF NOT EXISTS rest_years smallint;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'parcels'::regclass AND conname = 'parcels_rest_years') THEN
        ALTER TABLE parcels ADD CONSTRAINT parcels_rest_years
            CHECK (rest_years IS NULL OR (status = 'fallow' AND rest_years BETWEEN 1 AND 5)) NOT VALID;
    END IF;
END
$$;

COMMIT;

ALTER TABLE parcels VALIDATE CONSTRAINT parcels_rest_years;
