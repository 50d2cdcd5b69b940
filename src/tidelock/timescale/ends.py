"""Where the rows of a hypertable begin and end: asked of the chunks at its ends alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import Span
from tidelock.timescale.points import bucket_end, number, point

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]
    Reach = Sequence[tuple[int, int]]

RANGES = """
SELECT DISTINCT format('%I.%I', hypertable_schema, hypertable_name),
       coalesce(range_start_integer, (extract(epoch FROM range_start) * 1000000)::bigint),
       coalesce(range_end_integer, (extract(epoch FROM range_end) * 1000000)::bigint)
  FROM timescaledb_information.chunks
 WHERE range_start_integer IS NOT NULL OR isfinite(range_start) AND isfinite(range_end)
 ORDER BY 1, 2, 3"""
PATIENCE = 3
"""Chunks without a row (deleted, not dropped) that are looked at one by one, before all are."""


def ranges(conn: Connection) -> dict[str, tuple[tuple[int, int], ...]]:
    """Hypertable → from where to where its chunks reach, in order. Partitions of the same time are one."""
    rows = conn.execute(RANGES).fetchall()
    return {name: tuple((start, end) for _, start, end in of) for name, of in groupby(rows, key=lambda row: row[0])}


def with_spans(conn: Connection, found: Aggregate, own: Reach) -> Aggregate:
    """The same, with the spans of its rows and of its source's; None of what this role may not read."""
    materialized = raw = None
    if found.relation not in found.unread and (ends := extremes(conn, found.relation, found.column, found.kind, own)):
        end = conn.execute(
            sql.SQL("SELECT {}").format(number(found.kind, bucket_end(found, point(ends[1], found.kind))))
        ).fetchone()
        materialized = Span(start=ends[0], end=end[0] if end else ends[1], kind=found.kind)
    if found.source not in found.unread and (
        ends := extremes(conn, found.source, found.source_time, found.source_kind, found.chunks)
    ):
        raw = Span(start=ends[0], end=ends[1] + 1, kind=found.kind)  # a span is without its end
    return replace(found, materialized=materialized, raw=raw)


def extremes(conn: Connection, relation: str, column: str, kind: str, reach: Reach) -> tuple[int, int] | None:
    """The least and the greatest value of a hypertable's time column; None without rows."""
    if kind == "uuid":  # version 7: the time is in it, and has no min() before PostgreSQL 18
        return (reach[0][0], reach[-1][1] - 1) if reach else None
    first = nearest(conn, relation, column, kind, "min", reach)
    if first is None:
        return None
    last = nearest(conn, relation, column, kind, "max", reach[::-1])
    return (first, last) if last is not None else None


def nearest(conn: Connection, relation: str, column: str, kind: str, what: str, reach: Reach) -> int | None:
    """min or max of the column: from the first of these chunks that has a row."""
    name = sql.Identifier(column)
    value = number(kind, sql.SQL("{}({})").format(sql.SQL(what), name))
    query = sql.SQL("SELECT {} FROM {}").format(value, sql.SQL(relation))  # quoted by the catalog
    for start, end in reach[:PATIENCE]:
        # With constants the planner leaves the other chunks alone. Those of the same time, or beyond it, are the rest.
        bound = sql.SQL(" WHERE {} < {}") if what == "min" else sql.SQL(" WHERE {} >= {}")
        limit = point(end if what == "min" else start, kind)
        row = conn.execute(query + bound.format(name, limit)).fetchone()
        if row and row[0] is not None:
            return int(row[0])
    row = conn.execute(query).fetchone() if len(reach) != 0 else None
    return int(row[0]) if row and row[0] is not None else None
