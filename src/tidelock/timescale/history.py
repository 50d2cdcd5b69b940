"""What an aggregate has and its source can no longer give: counted, never guessed.

A bucket is lost to the source when no row of the source lies in it. Where rows of the source begin, and where retention
has been, a bucket may be there in part (a row that came late makes one of sixty): there the aggregate is computed anew
and compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import History, Span
from tidelock.timescale.points import bucket_end, number, point

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]

COUNT = """
SELECT count(DISTINCT b), count(*), {first}, {end}
  FROM (SELECT a.{column} AS b FROM {relation} a WHERE {within} AND {lost}) kept"""
NO_SOURCE = "NOT EXISTS (SELECT FROM {source} s WHERE s.{time} >= a.{column} AND s.{time} < {end})"
# Compared as text: not every type that an aggregate can hold has an equality.
IN_PART = """
(a.{column} < {until} AND a.{column} IN (
   SELECT b FROM (SELECT {column} AS b, ROW({columns})::text AS r FROM {relation} WHERE {column} < {until}
                  EXCEPT ALL
                  SELECT {column}, ROW({columns})::text FROM {direct} WHERE {column} < {until}) other))"""
COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"""


def of(conn: Connection, aggregate: Aggregate, *, within: Span | None = None, rootless: bool = False) -> History | None:
    """What exists in the aggregate alone; None when nothing does.

    `within` looks at buckets of a span only. `rootless`: its source goes as well, so that all of it counts.
    """
    if aggregate.materialized is None:
        return None
    column = sql.Identifier(aggregate.column)
    query = sql.SQL(COUNT).format(
        first=number(aggregate.kind, sql.SQL("min(b)")),
        end=number(aggregate.kind, bucket_end(aggregate, sql.SQL("max(b)"))),
        column=column,
        relation=sql.SQL(aggregate.relation),
        within=between(aggregate, within),
        lost=sql.SQL("true") if rootless or aggregate.raw is None else lost(conn, aggregate),
    )
    row = conn.execute(query).fetchone()
    if not row or not row[0]:
        return None
    buckets, rows, first, end = row
    return History(buckets=buckets, rows=rows, span=Span(start=first, end=end, kind=aggregate.kind))


def between(aggregate: Aggregate, within: Span | None) -> sql.Composable:
    """The condition for buckets that begin in a span."""
    if within is None:
        return sql.SQL("true")
    return sql.SQL("a.{0} >= {1} AND a.{0} < {2}").format(
        sql.Identifier(aggregate.column), point(within.start, within.kind), point(within.end, within.kind)
    )


def lost(conn: Connection, aggregate: Aggregate) -> sql.Composable:
    """The condition for a row whose bucket the source cannot give any more, or gives otherwise."""
    column = sql.Identifier(aggregate.column)
    gone = sql.SQL(NO_SOURCE).format(
        source=sql.SQL(aggregate.source),
        time=sql.Identifier(aggregate.source_time),
        column=column,
        end=bucket_end(aggregate, sql.SQL("a.{}").format(column)),
    )
    if aggregate.doubtful is None:
        return gone
    [names] = conn.execute(COLUMNS, (aggregate.direct,)).fetchone() or ([],)
    in_part = sql.SQL(IN_PART).format(
        column=column,
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        relation=sql.SQL(aggregate.relation),
        direct=sql.SQL(aggregate.direct),
        until=point(aggregate.doubtful, aggregate.kind),
    )
    return sql.SQL("({} OR {})").format(gone, in_part)
