-- What a parcel is doing this season.

DO $$
BEGIN
    IF to_regtype('parcel_status') IS NULL THEN
        CREATE TYPE parcel_status AS ENUM ('planned', 'sown', 'harvested');
    END IF;
END
$$;

ALTER TABLE parcels ADD COLUMN IF NOT EXISTS status parcel_status NOT NULL DEFAULT 'planned';
