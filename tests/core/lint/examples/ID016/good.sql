ALTER TYPE parcel_status ADD VALUE IF NOT EXISTS 'fallow' BEFORE 'planned';
