"""Real servers for tests, and what tests do to them: start, kill, listen between, compare.

account       the operating-system user a server runs as when the tests run as root
installation  where PostgreSQL's programs are: the embedded wheel, Debian's packages
loopback      free ports on 127.0.0.1
postgres      a PostgreSQL cluster of our own
bouncer       a PgBouncer of our own in transaction mode
proxy         a TCP proxy that understands PostgreSQL's message framing
dump          a canonical dump of a database, and the difference of two
requirement   what to do when a program is not there

Everything listens on loopback, on a free port, and is ended by the id of the process started here.
"""
