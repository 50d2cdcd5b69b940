"""PostgreSQL through psycopg 3, synchronous: everything that opens a connection lives here."""
