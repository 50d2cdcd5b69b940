ALTER TYPE parcel_status ADD VALUE 'fallow' BEFORE 'planned';
