"""Which aggregates a refresh begins with: one that another reads comes before it, when it was asked for or is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    import psycopg

    from tidelock.core.aggregates import Aggregate, Stock

    Connection = psycopg.Connection[Any]

PENDING = """
SELECT EXISTS (SELECT FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
                WHERE materialization_id = %(number)s
                  AND greatest_modified_value >= %(first)s AND lowest_modified_value < %(last)s)
    OR EXISTS (SELECT FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log l
                 JOIN _timescaledb_catalog.continuous_agg a ON a.raw_hypertable_id = l.hypertable_id
                WHERE a.mat_hypertable_id = %(number)s
                  AND greatest_modified_value >= %(first)s AND lowest_modified_value < %(last)s)"""


def stale(conn: Connection, aggregate: Aggregate) -> bool:
    """Its source has rows that it has not taken up, within what it was refreshed over; or it is empty for no reason."""
    if aggregate.raw is None:
        return False
    if aggregate.materialized is None:
        return True
    values = {"number": aggregate.number, "first": aggregate.raw.start, "last": aggregate.materialized.end}
    row = conn.execute(PENDING, values).fetchone()
    return bool(row and row[0])


def beneath(stock: Stock, aggregate: Aggregate) -> list[Aggregate]:
    """What it reads, through others too: the lowest first."""
    parent = stock.aggregate(aggregate.parent)
    return [*beneath(stock, parent), parent] if parent else []


def ordered(conn: Connection, stock: Stock, names: Collection[str]) -> list[str]:
    """Those names, and what is stale beneath them, in the order in which they are to be refreshed."""
    wanted = set(names)
    moved: set[str] = set()
    for each in stock.aggregates:  # a parent before those that read it
        if each.name not in names:
            continue
        for lower in beneath(stock, each):
            if lower.name in wanted or lower.parent in moved or stale(conn, lower):
                moved.add(lower.name)
    return [each.name for each in stock.aggregates if each.name in wanted | moved]
