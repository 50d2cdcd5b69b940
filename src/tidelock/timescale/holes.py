"""Which buckets the source no longer gives as a whole. The look, the guard, a refresh and a rebuild all ask here.

Where no chunk is, there may never have been one: a source that rests at weekends has gaps, too. Rows were dropped there
when the aggregate has a bucket that lies in it as a whole, when TimescaleDB notes a change in it (it notes each drop,
until the buckets are computed anew), or when retention has been. Then these buckets are doubtful: those that reach into
the gap, those that lie in the chunk behind it, and those of a chunk beside it that was made after a later one: a late
row brings back a chunk that was dropped, with that row alone. Doubtful buckets that come out otherwise now are in the
source in part only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from tidelock.core.aggregates import Span
from tidelock.core.windows import clipped, merged, without
from tidelock.timescale.ground import buckets, compared
from tidelock.timescale.points import as_source, bucket_end, number, point
from tidelock.timescale.thinning import EVER, Thinned, changed, thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate
    from tidelock.core.filling import Fill

    Connection = psycopg.Connection[Any]

# Partitions of the same time are one; its first chunk tells when it was made.
MADE = """
SELECT coalesce(i.range_start_integer, (extract(epoch FROM i.range_start) * 1000000)::bigint) AS low,
       coalesce(i.range_end_integer, (extract(epoch FROM i.range_end) * 1000000)::bigint) AS high, min(c.id)
  FROM timescaledb_information.chunks i
  JOIN _timescaledb_catalog.chunk c ON c.schema_name = i.chunk_schema AND c.table_name = i.chunk_name
 WHERE format('%%I.%%I', i.hypertable_schema, i.hypertable_name) = %s
   AND (i.range_start_integer IS NOT NULL OR isfinite(i.range_start) AND isfinite(i.range_end))
 GROUP BY 1, 2 ORDER BY 1, 2"""
STORED = "EXISTS (SELECT FROM {relation} WHERE {column} >= {low} AND {column} < {high})"
ASKED = 100
"""Places that are looked at with one question."""
LOST = """
SELECT {start}, {end} FROM (SELECT DISTINCT {column} AS b FROM {relation} WHERE {reach}) kept WHERE NOT {rows}"""
ROWS = """
EXISTS (SELECT FROM {source} s WHERE s.{time} >= {first} AND s.{time} < {after}
                                  AND s.{time} >= {low} AND s.{time} < {high})"""
# Compared as text: not every type that an aggregate can hold has an equality.
IN_PART = """
SELECT {start}, {end}, kept.n
  FROM (SELECT b FROM (SELECT {column} AS b, ROW({columns})::text AS r FROM {relation} WHERE {reach}
                       EXCEPT ALL
                       SELECT {column}, ROW({columns})::text FROM {direct} WHERE {reach}) other GROUP BY b) found
  JOIN (SELECT {column} AS b, count(*) AS n FROM {relation} WHERE {reach} GROUP BY 1) kept USING (b)
 WHERE {rows}"""


def remains(
    conn: Connection, aggregate: Aggregate, window: Span, noted: Sequence[Span], fill: Fill | None = None
) -> list[Span]:
    """Buckets of a window that the source cannot give any more, or gives in part only: those a refresh would erase.

    `noted`: changes, as they were before any window was refreshed (the server then makes whole buckets of them).
    `fill`: it was rebuilt, and then it was settled what is replaced and what stays.
    """
    found = [Span(start=start, end=end, kind=window.kind) for start, end in asked(conn, LOST, aggregate, window)]
    doubts = doubtful(conn, aggregate, window, noted)
    found += [each.span for each in in_part(conn, aggregate, doubts)]
    edges = buckets(conn, aggregate)
    settled = (*doubts, *fill.empty, *fill.stays) if fill else doubts
    found += [
        each.span for each in thinned(conn, aggregate, window, lambda points: edges.around(conn, points), settled)
    ]
    if fill is None:
        return merged(found)
    found = [each for each in found if not fill.settles(each.start)]
    return merged([*found, *clipped(fill.stays, window.start, window.end)])


def in_part(conn: Connection, aggregate: Aggregate, doubts: Iterable[Span]) -> list[Thinned]:
    """Of doubtful buckets, those that the source gives otherwise than the aggregate has them."""
    return [
        Thinned(Span(start=start, end=end, kind=aggregate.kind), rows)
        for each in doubts
        for start, end, rows in asked(conn, IN_PART, aggregate, each)
    ]


def changes(conn: Connection, aggregate: Aggregate) -> list[Span]:
    """What TimescaleDB notes as changed, and what was never computed."""
    return changed(conn, aggregate, aggregate.materialized, since=EVER) if aggregate.materialized else []


def doubtful(conn: Connection, aggregate: Aggregate, within: Span, noted: Sequence[Span]) -> list[Span]:
    """Where buckets may be in the source in part: those that begin in a span, oldest first."""
    hull, chunks = aggregate.materialized, made(conn, aggregate)
    if hull is None or not chunks:
        return []
    around = buckets(conn, aggregate).around
    end = around(conn, [within.end - 1])[0][1]
    made_late, spans = late(chunks), [each for each, _ in chunks]
    changes_ = noted if not aggregate.parent else ()  # a refresh of the parent changes whole chunks of it, too
    beside = {gap: came_back(gap, made_late, changes_) for gap in without(hull, spans)}
    near = [
        gap
        for gap, chunks_ in beside.items()
        if any(each.start < end and within.start < each.end for each in (gap, *behind(gap, spans), *chunks_))
    ]
    expired = [each for each, _ in chunks if aggregate.doubtful is not None and each.end <= aggregate.doubtful]
    dropped = [gap for gap in near if aggregate.doubtful is not None and gap.start < aggregate.doubtful]
    last = max(each.end for each, _ in chunks)
    dropped += hit(conn, aggregate, [gap for gap in near if gap not in dropped], clipped(noted, None, last))
    ends = [point for gap in dropped for point in (gap.start, gap.end)] + [each.end for each in expired[-1:]]
    found = [Span(start=low, end=high, kind=within.kind)
             for point, (low, high) in zip(ends, around(conn, ends), strict=True) if low < point]  # fmt: skip
    for each in (*expired, *(one for gap in dropped for one in beside[gap])):
        (low, _), (_, high) = around(conn, [each.start, each.end - 1])
        found.append(Span(start=low, end=high, kind=within.kind))
    for each in (one for gap in dropped for one in behind(gap, spans)):
        (low, after), (high, _) = around(conn, [each.start, each.end])
        low = low if low == each.start else after
        found += [Span(start=low, end=high, kind=within.kind)] if low < high else []
    return clipped(merged(found), within.start, within.end)


def made(conn: Connection, aggregate: Aggregate) -> list[tuple[Span, int]]:
    """The chunks of its source in the order of time, and when they were made."""
    rows = conn.execute(MADE, (aggregate.source,)).fetchall()
    return [(Span(start=start, end=end, kind=aggregate.kind), number) for start, end, number in rows]


def begins(conn: Connection, aggregate: Aggregate) -> int | None:
    """Where the first chunk that was not made late begins."""
    chunks = made(conn, aggregate)
    made_late = late(chunks)
    return next((each.start for each, _ in chunks if each not in made_late), None)


def late(chunks: Sequence[tuple[Span, int]]) -> list[Span]:
    """Those that were made after one that is later, oldest first."""
    found: list[Span] = []
    first = chunks[-1][1] if chunks else 0
    for each, made_as in reversed(chunks):
        if made_as > first:
            found.append(each)
        first = min(first, made_as)
    return found[::-1]


def came_back(gap: Span, made_late: Sequence[Span], changes: Sequence[Span]) -> list[Span]:
    """Chunks beside a gap that may have been dropped with it: one, and further ones where a whole one has changed."""
    found: list[Span] = []
    start, end = gap.start, gap.end
    for each in made_late:
        if each.start == end:
            found.append(each)
            end = each.end if all_of(each, changes) else end
    for each in reversed(made_late):
        if each.end == start:
            found.append(each)
            start = each.start if all_of(each, changes) else start
    return found


def behind(gap: Span, chunks: Sequence[Span]) -> list[Span]:
    """The chunk behind a gap: of what only it holds, some may have gone before it is dropped as well."""
    return [each for each in chunks if each.start == gap.end]


def all_of(chunk: Span, changes: Sequence[Span]) -> bool:
    """One change covers it, as a drop does."""
    return any(each.start <= chunk.start and chunk.end <= each.end for each in changes)


def hit(conn: Connection, aggregate: Aggregate, gaps: Sequence[Span], changes: Sequence[Span]) -> list[Span]:
    """Gaps with a bucket that lies in them as a whole, or reaches to where a change is noted in them."""
    noted = [(gap, each) for gap in gaps for each in clipped(changes, gap.start, gap.end)]
    points = [*(gap.end for gap in gaps), *(each.start for _, each in noted)]
    firsts = [first for first, _ in buckets(conn, aggregate).around(conn, points)]
    places = [(gap, gap.start, first) for gap, first in zip(gaps, firsts, strict=False)]
    places += [(gap, first, each.end) for (gap, each), first in zip(noted, firsts[len(gaps) :], strict=True)]
    found: list[Span] = []
    for done in range(0, len(places), ASKED):
        some = [each for each in places[done : done + ASKED] if each[1] < each[2]]
        query = sql.SQL(", ").join(
            sql.SQL(STORED).format(
                relation=sql.SQL(aggregate.relation),
                column=sql.Identifier(aggregate.column),
                low=point(low, aggregate.kind),
                high=point(high, aggregate.kind),
            )
            for _, low, high in some
        )
        answers = conn.execute(sql.SQL("SELECT {}").format(query)).fetchone() or ()
        found += [gap for (gap, _, _), there in zip(some, answers, strict=True) if there]
    return list(dict.fromkeys(found))


def asked(conn: Connection, query: LiteralString, aggregate: Aggregate, window: Span) -> list[tuple[int, ...]]:
    """LOST or IN_PART, for the buckets that begin in a window."""
    low, high, bucket = point(window.start, window.kind), point(window.end, window.kind), sql.SQL("kept.b")
    rows = sql.SQL(ROWS).format(
        source=sql.SQL(aggregate.source),
        time=sql.Identifier(aggregate.source_time),
        first=as_source(aggregate, bucket),
        after=as_source(aggregate, bucket_end(aggregate, bucket)),
        low=as_source(aggregate, low),
        high=as_source(aggregate, bucket_end(aggregate, high)),
    )
    column = sql.Identifier(aggregate.column)
    names = {
        "start": number(aggregate.kind, bucket),
        "end": number(aggregate.kind, bucket_end(aggregate, bucket)),
        "column": column,
        "columns": compared(conn, aggregate.direct) if query == IN_PART else sql.SQL(""),
        "relation": sql.SQL(aggregate.relation),
        "direct": sql.SQL(aggregate.direct),
        "reach": sql.SQL("{0} >= {1} AND {0} < {2}").format(column, low, high),
        "rows": rows,
    }
    return conn.execute(sql.SQL(query).format(**names)).fetchall()
