"""Buckets whose source has fewer rows now than they were made from: a DELETE took some, and a refresh would take it up.

Nobody keeps what was deleted, but TimescaleDB notes where something changed, and two things tell that rows went: the
source gives fewer groups for a bucket than the aggregate has, or a lower count(*). Where the definition filters or
joins, an UPDATE may have done that, which loses nothing: there nothing is said, and nothing of what has neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import Span
from tidelock.core.windows import clipped, merged, without
from tidelock.timescale.points import LIMITS, bucket_end, number, point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]
    Around = Callable[[Sequence[int]], Sequence[tuple[int, int]]]

SINCE = -(2**63) + 2
"""What begins before was never computed, or was put there by a rebuild: no change of rows."""
EVER = -(2**63)
"""As `since`: that, too."""
MOST_RANGES = 50

# What changed in the source, and what of it was handed on to this aggregate.
CHANGED = """
SELECT low, high FROM (
  SELECT lowest_modified_value AS low, greatest_modified_value AS high
    FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log WHERE materialization_id = %(number)s
   UNION ALL
  SELECT lowest_modified_value, greatest_modified_value
    FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log l
    JOIN _timescaledb_catalog.continuous_agg a ON a.raw_hypertable_id = l.hypertable_id
   WHERE a.mat_hypertable_id = %(number)s) changed
 WHERE low >= %(since)s AND low < %(end)s AND high >= %(start)s"""
DEFINITION = "SELECT pg_get_viewdef(%s::regclass)"
FILTERED = re.compile(r"\b(?:WHERE|HAVING|JOIN)\b|\bFROM \S+,$", re.MULTILINE)
COUNT = re.compile(r'^\s*(?:SELECT )?count\(\*\) AS (?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>\w+)),?$', re.MULTILINE)
"""A column of count(*), as the server writes a definition."""
THINNER = """
SELECT {start}, {end}, have.n
  FROM (SELECT {column} AS b, count(*) AS n, {counted} AS c FROM {relation}
         WHERE {column} >= {low} AND {column} < {high} GROUP BY 1) have
  JOIN (SELECT {column} AS b, count(*) AS n, {counted} AS c FROM {direct}
         WHERE {column} >= {low} AND {column} < {high} GROUP BY 1) gives USING (b)
 WHERE have.n > gives.n OR have.c > gives.c"""


COLUMNS = """
SELECT attname::text FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> %s ORDER BY attnum"""
EMPTIER = """
SELECT {start}, {end}, have.n
  FROM (SELECT {column} AS b, count(*) AS n, {counts} FROM {relation}
         WHERE {column} >= {low} AND {column} < {high} GROUP BY 1) have
  JOIN (SELECT {column} AS b, {counts} FROM {direct}
         WHERE {column} >= {low} AND {column} < {high} GROUP BY 1) gives USING (b)
 WHERE {fewer}"""


@dataclass(frozen=True, slots=True)
class Thinned:
    """A bucket that is there in part only."""

    span: Span
    rows: int
    """Of the aggregate."""


def thinned(
    conn: Connection, aggregate: Aggregate, within: Span, around: Around, settled: Iterable[Span] = ()
) -> list[Thinned]:
    """Those that begin in a span. `around`: for points, their buckets; `settled`: what is not to be asked for."""
    if aggregate.materialized is None or aggregate.direct in aggregate.unread:
        return []
    ranges = changed(conn, aggregate, within)
    if not ranges:
        return []
    [definition] = conn.execute(DEFINITION, (aggregate.direct,)).fetchone() or ("",)
    if FILTERED.search(definition):
        return []
    points = [point for each in ranges for point in (each.start, each.end - 1)]
    edges = dict(zip(points, around(points), strict=True))
    whole = merged(Span(start=edges[each.start][0], end=edges[each.end - 1][1], kind=each.kind) for each in ranges)
    if len(whole) > MOST_RANGES:
        whole = [Span(start=whole[0].start, end=whole[-1].end, kind=whole[0].kind)]
    kept = list(settled)
    asked = [part for each in clipped(whole, within.start, within.end) for part in without(each, kept)]
    return [found for each in asked for found in compared(conn, aggregate, each, COUNT.search(definition))]


def fewer(conn: Connection, aggregate: Aggregate, within: Span) -> list[Thinned]:
    """Buckets of a span of which the source gives fewer rows, whatever was noted."""
    [definition] = conn.execute(DEFINITION, (aggregate.direct,)).fetchone() or ("",)
    return compared(conn, aggregate, within, COUNT.search(definition))


def changed(conn: Connection, aggregate: Aggregate, within: Span, since: int = SINCE) -> list[Span]:
    """Where the source has changed since it was taken up, as far as the aggregate has buckets there."""
    assert aggregate.materialized is not None
    start = max(within.start, aggregate.materialized.start)
    end = min(within.end, aggregate.materialized.end, LIMITS.get(within.kind, 2**63 - 2) + 1)
    if start >= end:
        return []
    rows = conn.execute(CHANGED, {"number": aggregate.number, "since": since, "start": start, "end": end}).fetchall()
    return merged(Span(start=max(low, start), end=min(high + 1, end), kind=within.kind) for low, high in rows)


def compared(conn: Connection, aggregate: Aggregate, within: Span, count: re.Match[str] | None) -> list[Thinned]:
    """Buckets of a span of which the source gives fewer rows."""
    name = (count["plain"] or count["quoted"].replace('""', '"')) if count else ""
    query = sql.SQL(THINNER).format(
        start=number(aggregate.kind, sql.SQL("b")),
        end=number(aggregate.kind, bucket_end(aggregate, sql.SQL("b"))),
        column=sql.Identifier(aggregate.column),
        counted=sql.SQL("sum({})").format(sql.Identifier(name)) if name else sql.SQL("0"),
        relation=sql.SQL(aggregate.relation),
        direct=sql.SQL(aggregate.direct),
        low=point(within.start, within.kind),
        high=point(within.end, within.kind),
    )
    return [
        Thinned(Span(start=start, end=end, kind=within.kind), rows)
        for start, end, rows in conn.execute(query).fetchall()
    ]


def emptied(conn: Connection, aggregate: Aggregate, within: Span) -> list[Thinned]:
    """Buckets that have values which the aggregate beneath gives no more: that was rebuilt, and is NULL there."""
    beneath, own = [
        [name for (name,) in conn.execute(COLUMNS, (relation, column)).fetchall()]
        for relation, column in ((aggregate.source, aggregate.source_time), (aggregate.relation, aggregate.column))
    ]
    if not own or not beneath or aggregate.unread or not some_null(conn, aggregate.source, beneath):
        return []
    counts = [sql.SQL("count({}) AS {}").format(sql.Identifier(each), sql.Identifier(f"n{n}"))
              for n, each in enumerate(own)]  # fmt: skip
    less = [sql.SQL("have.{0} > gives.{0}").format(sql.Identifier(f"n{n}")) for n in range(len(own))]
    query = sql.SQL(EMPTIER).format(
        start=number(aggregate.kind, sql.SQL("b")),
        end=number(aggregate.kind, bucket_end(aggregate, sql.SQL("b"))),
        column=sql.Identifier(aggregate.column),
        counts=sql.SQL(", ").join(counts),
        relation=sql.SQL(aggregate.relation),
        direct=sql.SQL(aggregate.direct),
        low=point(within.start, within.kind),
        high=point(within.end, within.kind),
        fewer=sql.SQL(" OR ").join(less),
    )
    return [
        Thinned(Span(start=start, end=end, kind=within.kind), rows)
        for start, end, rows in conn.execute(query).fetchall()
    ]


def some_null(conn: Connection, relation: str, columns: Iterable[str]) -> bool:
    """Whether a row of it has a column without a value."""
    which = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier(each)) for each in columns)
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(sql.SQL(relation), which)
    return conn.execute(query).fetchone() == (True,)
