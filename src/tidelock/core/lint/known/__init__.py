"""The schema as the files so far have made it; what no file says is not known, and no rule may guess it.

    things      what can be known of: tables, aggregates, indexes, policies, views; and the names they go by
    schema      everything that the files so far have made; `Known.learn` is the only entry of what changes it
    relations   how tables, views and aggregates come, are renamed, filled, and go
    columns     how a table's columns, constraints and options change
    objects     how indexes, types, domains, roles, functions and all other objects come and go
    timescale   what calls of TimescaleDB change: hypertables, chunks, policies

CHANGES in each of the last four: what an action does → what takes it in.
"""

from __future__ import annotations

from tidelock.core.lint.known.schema import Known
from tidelock.core.lint.known.things import (
    REFRESHES,
    Aggregate,
    Index,
    Policy,
    Table,
    View,
    key,
    made_by,
    meant,
    offsets,
)
from tidelock.core.lint.known.timescale import argument, target

__all__ = [
    "REFRESHES",
    "Aggregate",
    "Index",
    "Known",
    "Policy",
    "Table",
    "View",
    "argument",
    "key",
    "made_by",
    "meant",
    "offsets",
    "target",
]
