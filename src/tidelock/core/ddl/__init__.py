"""SQL from snapshots: a whole schema in order (`document`), and what takes one difference back (`mending`).

words       literals, names, lists of options
order       what has to be made before what
creation    CREATE, one function for each kind
tables      CREATE TABLE with its columns and constraints
timescale   hypertables, continuous aggregates, jobs
rights      GRANT, REVOKE, default privileges, comments
removal     DROP, one function for each kind
alteration  ALTER, one function for each kind; timescale_alteration for TimescaleDB's
document    a schema as one readable script
mending     the SQL for one difference
"""
