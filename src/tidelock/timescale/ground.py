"""Where an aggregate can be computed anew: chunks of its source and edges of its buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import EPOCH, INTEGERS, Span
from tidelock.core.windows import clipped, marks, merged, pieces
from tidelock.timescale.points import LIMITS, bucket_end, number, point, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate
    from tidelock.core.filling import Fill

    Connection = psycopg.Connection[Any]

CHUNKS = """
SELECT DISTINCT coalesce(c.range_start_integer, (extract(epoch FROM c.range_start) * 1000000)::bigint),
       coalesce(c.range_end_integer, (extract(epoch FROM c.range_end) * 1000000)::bigint)
  FROM timescaledb_information.chunks c
 WHERE format('%%I.%%I', c.hypertable_schema, c.hypertable_name) = %s ORDER BY 1"""
FUNCTION = """
SELECT split_part(bucket_func::text, '(', 1), bucket_width, bucket_timezone, bucket_origin, bucket_offset
  FROM _timescaledb_catalog.continuous_aggs_bucket_function WHERE mat_hypertable_id = %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """How a point in time finds its bucket: the call that the aggregate's own definition makes."""

    aggregate: Aggregate
    function: str
    """`public.time_bucket`, as the catalog quotes it."""
    width: str
    timezone: str | None
    origin: str | None
    offset: str | None

    def start(self, value: sql.Composable) -> sql.Composable:
        """SQL for the beginning of the bucket that a value is in."""
        whole = self.aggregate.kind in INTEGERS
        kind = sql.SQL(self.aggregate.kind)
        cast = kind if whole else sql.SQL("interval")
        parts = [sql.SQL("{}::{}").format(sql.Literal(self.width), cast), value]
        if self.timezone:
            parts.append(sql.SQL("timezone => {}::text").format(sql.Literal(self.timezone)))
        if self.origin:
            parts.append(sql.SQL("origin => {}::{}").format(sql.Literal(self.origin), kind))
        if self.offset:
            parts.append(sql.SQL('"offset" => {}::{}').format(sql.Literal(self.offset), cast))
        return sql.SQL("{}({})").format(sql.SQL(self.function), sql.SQL(", ").join(parts))

    def around(self, conn: Connection, points: Sequence[int]) -> list[tuple[int, int]]:
        """For each point the beginning and the end of its bucket."""
        kind = self.aggregate.kind
        query = sql.SQL(
            "SELECT {start}, {end} FROM (SELECT {bucket} AS b, n FROM unnest({points}::text[]) WITH ORDINALITY p(v, n))"
            " found ORDER BY n"
        ).format(
            start=number(kind, sql.SQL("b")),
            end=number(kind, bucket_end(self.aggregate, sql.SQL("b"))),
            bucket=self.start(sql.SQL("v::{}").format(sql.SQL(kind))),
            points=sql.Literal([text(min(each, LIMITS.get(kind, each)), kind) for each in points]),
        )
        return [(row[0], row[1]) for row in conn.execute(query)] if points else []


def buckets(conn: Connection, aggregate: Aggregate) -> Buckets:
    """How this aggregate's buckets are found."""
    row = conn.execute(FUNCTION, (aggregate.number,)).fetchone()
    assert row is not None, f"{aggregate.name} has no bucket function in the catalog"
    function, width, timezone, origin, offset = row
    return Buckets(
        aggregate=aggregate, function=function, width=width, timezone=timezone or None, origin=origin, offset=offset
    )


def chunks(conn: Connection, aggregate: Aggregate) -> list[Span]:
    """Where its source has chunks."""
    rows = conn.execute(CHUNKS, (aggregate.source,)).fetchall()
    return [Span(start=start, end=end, kind=aggregate.kind) for start, end in rows]


def whole(conn: Connection, aggregate: Aggregate, start: int | None, end: int | None) -> tuple[int | None, int | None]:
    """A window in whole buckets, none of them in part only: as the server narrows it."""
    asked = [each for each in (start, end) if each is not None]
    found = iter(buckets(conn, aggregate).around(conn, asked))
    if start is not None:
        first, after = next(found)
        start = start if first == start else after
    if end is not None:
        end = next(found)[0]
    return start, end


def ground(
    conn: Connection, aggregate: Aggregate, start: int | None, end: int | None, fill: Fill | None = None
) -> list[Span]:
    """Where the source has rows within a window of whole buckets: pieces of whole buckets, oldest first.

    `fill`: it was rebuilt; old buckets that begin before the rows in them are replaced from their beginning.
    """
    if aggregate.raw is None:
        return []
    there = clipped(chunks(conn, aggregate), aggregate.raw.start, aggregate.raw.end)
    there = clipped(there, start, end)
    points = sorted({*marks(there), *(each.start for each in there)})
    around = dict(zip(points, buckets(conn, aggregate).around(conn, points), strict=True))
    occupied = merged(Span(start=around[each.start][0], end=around[each.end - 1][1], kind=each.kind) for each in there)
    occupied = fill.widened(occupied) if fill else occupied
    return pieces(clipped(occupied, start, end), (first for first, _ in around.values()))


FLOAT = """
CASE WHEN {0} IN ('NaN', 'Infinity', '-Infinity') THEN {0}::text ELSE to_char({0}::float8, '9.99999999EEEE') END"""
COLUMNS = """
SELECT attname::text, atttypid::regtype::text FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def compared(conn: Connection, relation: str) -> sql.Composable:
    """Its columns as they are compared. Sums of floats differ in their last digits by the order of the rows."""
    return sql.SQL(", ").join(
        sql.SQL(FLOAT).format(sql.Identifier(name)) if type_ in ("real", "double precision") else sql.Identifier(name)
        for name, type_ in conn.execute(COLUMNS, (relation,)).fetchall()
    )


def first_in(conn: Connection, relation: str, column: str, window: Span) -> bool:
    """Whether a relation has a row in a window. In a transaction this locks (AccessShare) the chunks of the window."""
    query = sql.SQL("SELECT FROM {} WHERE {} >= {} AND {} < {} LIMIT 1").format(
        sql.SQL(relation),
        sql.Identifier(column),
        point(window.start, window.kind),
        sql.Identifier(column),
        point(window.end, window.kind),
    )
    return conn.execute(query).fetchone() is not None


OUTSIDE = "SELECT count(DISTINCT {column}), {first}, {end} FROM {relation} WHERE {asked} AND NOT ({there})"
MOST_GAPS = 200


def outside(conn: Connection, aggregate: Aggregate, there: Sequence[Span], start: int | None, end: int | None) -> Any:
    """(buckets, from, to) of the aggregate's buckets in the asked window where its source has no chunk at all."""
    column, kind = sql.Identifier(aggregate.column), aggregate.kind
    spans = merged(there)
    if len(spans) > MOST_GAPS:  # too many to ask for: what lies between is looked at window by window
        spans = [Span(start=spans[0].start, end=spans[-1].end, kind=kind)]
    within = [sql.SQL("({0} >= {1} AND {0} < {2})").format(column, point(each.start, kind), point(each.end, kind))
              for each in spans]  # fmt: skip
    asked: list[sql.Composable] = [sql.SQL("true")]
    if start is not None:
        asked.append(sql.SQL("{} >= {}").format(column, point(start, kind)))
    if end is not None:
        asked.append(sql.SQL("{} < {}").format(column, point(end, kind)))
    query = sql.SQL(OUTSIDE).format(
        column=column,
        first=number(kind, sql.SQL("min({})").format(column)),
        end=number(kind, bucket_end(aggregate, sql.SQL("max({})").format(column))),
        relation=sql.SQL(aggregate.relation),
        asked=sql.SQL(" AND ").join(asked),
        there=sql.SQL(" OR ").join(within) if within else sql.SQL("false"),
    )
    return conn.execute(query).fetchone()


def moment_of(value: Any) -> int:
    """A datetime as TimescaleDB's number."""
    return int((value - EPOCH).total_seconds() * 1_000_000)
