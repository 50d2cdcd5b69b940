CREATE TABLE IF NOT EXISTS parcels_with_their_outline_and_crop_and_area_and_owner_and_tenant (id bigint PRIMARY KEY);
