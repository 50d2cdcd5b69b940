"""TimescaleDB (TS): what hypertables, the columnstore, continuous aggregates and policies refuse, lose or pass over.

    interval      intervals as files write them → seconds
    sight         what these rules ask of the files so far, and the statements they propose
    hypertables   TS001 to TS019: indexes, keys, locks, what a hypertable refuses
    columnstore   TS020 to TS039: what a compressed hypertable refuses, and what it silently loses
    aggregates    TS040 to TS069: how continuous aggregates lose history, and what they refuse
    policies      TS070 to TS089: policies that contradict an earlier file, or each other

Each claim was measured on TimescaleDB 2.28.3 (PostgreSQL 15); `tests/timescale/test_rule_claims.py` reads it back.
"""

from __future__ import annotations

from tidelock.core.lint.timescale import aggregates, columnstore, hypertables, policies

__all__ = ["aggregates", "columnstore", "hypertables", "policies"]
