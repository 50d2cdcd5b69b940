"""TimescaleDB: hypertables, continuous aggregates, jobs. Knows psycopg, and nothing of `postgres`: connections come
from outside, and what it is to keep of a run is asked through `app/ports.py`.

`look` reads the catalog into `core.aggregates`; `history` counts what exists only in an aggregate; `keeper` watches
over the steps of a run. Imported only where the extension is.
"""
