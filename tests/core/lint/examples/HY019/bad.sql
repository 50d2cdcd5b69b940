CREATE TABLE IF NOT EXISTS "Parcels" (id bigint PRIMARY KEY, "sownOn" date, "user" text);
