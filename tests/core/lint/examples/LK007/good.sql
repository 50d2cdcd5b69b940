CREATE TABLE IF NOT EXISTS leases (
    id bigint PRIMARY KEY,
    during daterange,
    CONSTRAINT leases_apart EXCLUDE USING gist (during WITH &&)
);
