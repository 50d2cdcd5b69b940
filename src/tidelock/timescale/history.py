"""What an aggregate has and its source can no longer give: counted, never guessed.

A bucket is lost to the source when no row of the source lies in it. Where rows were dropped, it may be there in part (a
row that came late makes one of sixty): see `holes`. Elsewhere a DELETE may have taken rows of it (`thinning`).

The source is read a few chunks at a time: one question over 1,000 of them takes a minute.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import INTEGERS, History, Span
from tidelock.timescale import holes
from tidelock.timescale.ground import buckets
from tidelock.timescale.points import as_source, bucket_end, number, point
from tidelock.timescale.thinning import changed, emptied, thinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate
    from tidelock.timescale.thinning import Thinned

    Connection = psycopg.Connection[Any]

COUNT = """
SELECT count(*), sum(n), {first}, {end}
  FROM (SELECT a.{column} AS b, count(*) AS n FROM {relation} a WHERE {within} GROUP BY 1) kept WHERE {lost}"""
NO_SOURCE = """
({end} <= {begin} OR NOT EXISTS (SELECT FROM {source} s WHERE {reach} AND {time} >= {first} AND {time} < {after}))"""
# No month is longer than 31 days, no day than 25 hours.
WIDTH = """
SELECT ((extract(year FROM w) * 12 + extract(month FROM w)) * 31 + extract(day FROM w)) * 90000000000
       + extract(hour FROM w) * 3600000000 + extract(minute FROM w) * 60000000 + extract(microseconds FROM w)
  FROM (SELECT %s::interval AS w) bucket"""
CHUNKS = 8
"""That are read with one question, at least."""
MOST_CHANGED = 64
"""Chunks with changes that are computed anew to see whether rows went."""


def of(
    conn: Connection,
    aggregate: Aggregate,
    *,
    within: Span | None = None,
    rootless: bool = False,
    deleted: bool = True,
    thorough: bool = False,
) -> History | None:
    """What exists in the aggregate alone; None when nothing does.

    `within` looks at buckets that begin in a span only. `rootless`: its source goes as well, so that all of it counts.
    So does all of it when this role may not read the source: nobody can say that a bucket is there as well. Not
    `deleted`: without the buckets that a DELETE took a part of; `thorough`: with them, however much has changed.
    """
    if aggregate.materialized is None:
        return None
    start, end = aggregate.materialized.start, aggregate.materialized.end
    if within is not None:
        start, end = max(start, within.start), min(end, within.end)
    if start >= end:
        return None
    if rootless or aggregate.raw is None or aggregate.unread:
        return count(conn, aggregate, between(aggregate, start, end), sql.SQL("true"))
    found = gone(conn, aggregate, start, end)
    doubts = holes.doubtful(
        conn, aggregate, Span(start=start, end=end, kind=aggregate.kind), holes.changes(conn, aggregate)
    )
    found = plus(found, together(holes.in_part(conn, aggregate, doubts)))
    if aggregate.parent:
        without_values = [
            each
            for each in emptied(conn, aggregate, Span(start=start, end=end, kind=aggregate.kind))
            if not any(one.start <= each.span.start < one.end for one in doubts)
        ]
        found, doubts = plus(found, together(without_values)), [*doubts, *(each.span for each in without_values)]
    return plus(found, together(thinner(conn, aggregate, start, end, doubts, thorough=thorough))) if deleted else found


def gone(conn: Connection, aggregate: Aggregate, start: int, end: int) -> History | None:
    """Buckets that begin from `start` on, before `end`, without a row in the source."""
    found: History | None = None
    width = longest(conn, aggregate)
    for low, high in segments(aggregate, width, start, end):
        lost = no_source(aggregate, low, high + width)
        found = plus(found, count(conn, aggregate, between(aggregate, low, high), lost))
    return found


def segments(aggregate: Aggregate, width: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts a span where chunks of the source begin: a few chunks, and a few buckets, in each part.

    Before the first chunk, and after the last one, nothing has to be read.
    """
    cuts: list[int] = []
    for begin, _ in aggregate.chunks[::CHUNKS]:
        if start < begin < end and (not cuts or begin - cuts[-1] >= width * 4):
            cuts.append(begin)
    yield from pairwise([start, *cuts, end])


def thinner(
    conn: Connection, aggregate: Aggregate, start: int, end: int, settled: Sequence[Span], *, thorough: bool
) -> list[Thinned]:
    """Buckets of which a DELETE took a part; not looked for where too much has changed to be computed for a look."""
    edges = buckets(conn, aggregate)
    start = max(start, edges.around(conn, [aggregate.chunks[0][0]])[0][0])  # before is nothing to take from
    if start >= end:
        return []
    within = Span(start=start, end=end, kind=aggregate.kind)
    if not (thorough or few(conn, aggregate, within)):
        return []
    return thinned(conn, aggregate, within, lambda points: edges.around(conn, points), settled)


def few(conn: Connection, aggregate: Aggregate, within: Span) -> bool:
    """Whether what has changed can be computed anew for a look."""
    there = changed(conn, aggregate, within)
    touched = (each for each in aggregate.chunks if any(one.start < each[1] and each[0] < one.end for one in there))
    return sum(1 for _ in touched) <= MOST_CHANGED


def together(found: Sequence[Thinned]) -> History | None:
    """Buckets, counted; None without any."""
    if not found:
        return None
    first, last = min(each.span.start for each in found), max(each.span.end for each in found)
    return History(
        buckets=len(found),
        rows=sum(each.rows for each in found),
        span=Span(start=first, end=last, kind=found[0].span.kind),
    )


def count(conn: Connection, aggregate: Aggregate, within: sql.Composable, lost: sql.Composable) -> History | None:
    """The buckets of a span for which a condition holds; None without any."""
    query = sql.SQL(COUNT).format(
        first=number(aggregate.kind, sql.SQL("min(b)")),
        end=number(aggregate.kind, bucket_end(aggregate, sql.SQL("max(b)"))),
        column=sql.Identifier(aggregate.column),
        relation=sql.SQL(aggregate.relation),
        within=within,
        lost=lost,
    )
    row = conn.execute(query).fetchone()
    if not row or not row[0]:
        return None
    buckets, rows, first, end = row
    return History(buckets=buckets, rows=int(rows), span=Span(start=first, end=end, kind=aggregate.kind))


def plus(one: History | None, other: History | None) -> History | None:
    """Both, which have no bucket in common."""
    if one is None or other is None:
        return one or other
    first, last = min(one.span.start, other.span.start), max(one.span.end, other.span.end)
    return History(
        buckets=one.buckets + other.buckets,
        rows=one.rows + other.rows,
        span=Span(start=first, end=last, kind=one.span.kind),
    )


def between(aggregate: Aggregate, start: int, end: int) -> sql.Composable:
    """The condition for buckets that begin in a span."""
    return sql.SQL("{0} >= {1} AND {0} < {2}").format(
        sql.Identifier(aggregate.column), point(start, aggregate.kind), point(end, aggregate.kind)
    )


def no_source(aggregate: Aggregate, low: int, high: int) -> sql.Composable:
    """The condition for a bucket without a source row. The span is for the planner: it opens no other chunks."""
    assert aggregate.raw is not None
    time = own_time(aggregate)
    return sql.SQL(NO_SOURCE).format(
        begin=point(aggregate.raw.start, aggregate.kind),
        source=sql.SQL(aggregate.source),
        reach=sql.SQL("{0} >= {1} AND {0} < {2}").format(
            time, as_source(aggregate, point(low, aggregate.kind)), as_source(aggregate, point(high, aggregate.kind))
        ),
        time=time,
        first=as_source(aggregate, sql.SQL("kept.b")),
        after=as_source(aggregate, bucket_end(aggregate, sql.SQL("kept.b"))),
        end=bucket_end(aggregate, sql.SQL("kept.b")),
    )


def own_time(aggregate: Aggregate) -> sql.Composable:
    """The time column of the source, with its name: the inner of two that may be called the same."""
    return sql.SQL("s.{}").format(sql.Identifier(aggregate.source_time))


def longest(conn: Connection, aggregate: Aggregate) -> int:
    """No bucket is longer."""
    if aggregate.kind in INTEGERS:
        return int(aggregate.bucket)
    row = conn.execute(WIDTH, (aggregate.bucket,)).fetchone()
    return int(row[0]) if row else 0
