CREATE TYPE parcel_status AS ENUM ('planned', 'sown', 'harvested');
