DROP TYPE IF EXISTS parcel_status;
DROP SEQUENCE IF EXISTS invoice_numbers;
