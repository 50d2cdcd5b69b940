"""TimescaleDB (TS): what hypertables, the columnstore, continuous aggregates and policies refuse, lose or pass over.

    interval      intervals as files write them → seconds
    sight         what these rules ask of the files so far, and the statements they propose
    hypertables   TS0xx: indexes, keys, locks, what a hypertable refuses
    columnstore   TS1xx: what a compressed hypertable refuses, and what it silently loses
    aggregates    TS2xx: how continuous aggregates lose history; what they refuse
    policies      TS3xx: policies that contradict each other or an earlier file

Each claim was measured on TimescaleDB 2.28.3 (PostgreSQL 15); `tests/timescale/test_rule_claims.py` reads it back.
"""
