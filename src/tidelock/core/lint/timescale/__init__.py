"""TimescaleDB (TS): what hypertables, the columnstore, continuous aggregates and policies refuse, lose or pass over.

    interval      intervals as files write them → seconds
    sight         what these rules ask of the files so far, and the statements they propose
    indexes       TS001 to TS007: indexes and keys of hypertables
    hypertables   TS008 to TS019: making a hypertable, its locks, what it refuses
    columnstore   TS020 to TS039: what a compressed hypertable refuses, and what it silently loses
    aggregates    TS040 to TS047, TS052, TS053: how continuous aggregates lose history, and what they refuse
    refreshing    TS048 to TS051: what a refresh erases or leaves out
    policies      TS070 to TS089: policies that contradict an earlier file, or each other

Each claim was measured on TimescaleDB 2.28.3 (PostgreSQL 15); `tests/timescale/test_rule_claims.py` reads it back.
"""

from __future__ import annotations

from tidelock.core.lint.timescale import aggregates, columnstore, hypertables, indexes, policies, refreshing

__all__ = ["aggregates", "columnstore", "hypertables", "indexes", "policies", "refreshing"]
