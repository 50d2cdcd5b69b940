-- A new value of an enum may not be used in the transaction that adds it: use it from the next file on.

ALTER TYPE parcel_status ADD VALUE IF NOT EXISTS 'fallow' BEFORE 'planned';
