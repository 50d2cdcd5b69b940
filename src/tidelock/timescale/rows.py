"""The rows of an aggregate, copied out of one materialized hypertable and into another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.widening import widens
from tidelock.errors import LedgerFault
from tidelock.timescale.ground import chunks
from tidelock.timescale.points import point

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from tidelock.core.aggregates import Aggregate, Span

    Connection = psycopg.Connection[Any]

COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric")
# What real time adds: buckets that are not materialized yet.
NOT_YET = """
INSERT INTO {copy} SELECT {columns} FROM {view} v
 WHERE NOT EXISTS (SELECT FROM {relation} m WHERE m.{bucket} = v.{bucket})"""
WATERMARK = """
SELECT EXISTS (SELECT FROM _timescaledb_catalog.continuous_agg a
                WHERE format('%%I.%%I', a.user_view_schema, a.user_view_name) = %s
                  AND _timescaledb_functions.cagg_watermark(a.mat_hypertable_id)
                      > _timescaledb_functions.get_internal_time_min(
                          (SELECT column_type FROM _timescaledb_catalog.dimension d
                            WHERE d.hypertable_id = a.mat_hypertable_id ORDER BY d.id LIMIT 1)))"""


class BucketRetyped(LedgerFault):
    """The bucket column has another type now, so old rows do not fit."""

    code = "L049"

    def __init__(self, name: str, before: str, now: str) -> None:
        super().__init__(
            f"the bucket of {name} was {before} and is {now}: its old rows do not fit the new aggregate",
            hint="make a new aggregate beside it and keep the old one for its history",
        )


class RowsMissing(LedgerFault):
    """What was put back is not what was taken out. Nothing was changed."""

    code = "L050"

    def __init__(self, name: str, what: str, before: object, now: object) -> None:
        super().__init__(
            f"{name}: {what} was {before} and is {now} after the rows were put back; rolled back",
            hint="look for triggers or rules on the aggregate, and report it: this must not happen",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Rows in a temporary table of the transaction."""

    table: str
    name: str
    bucket: str
    kind: str
    columns: dict[str, str]
    rows: int
    since: int | None
    """Where the chunks of the source begin."""
    real_time: bool = False
    empty: tuple[str, ...] = ()
    """Columns of the new aggregate that old rows do not have, or have in a type that this one may not hold."""
    gone: tuple[str, ...] = ()
    """Columns that the new one does not have: what they held goes."""
    wider: tuple[str, ...] = ()
    """Columns whose type is a wider one now."""


def columns(conn: Connection, relation: str) -> dict[str, str]:
    """Name → type."""
    return dict(conn.execute(COLUMNS, (relation,)).fetchall())


def copy_out(conn: Connection, found: Aggregate, number: int) -> Copy:
    """Copy the rows: those that are materialized, and those that real time shows beside them.

    The lock keeps a refresh from adding rows after the copy; readers go on.
    """
    table, there = f"tidelock_kept_{number}", columns(conn, found.relation)
    names = {
        "copy": sql.Identifier(table),
        "relation": sql.SQL(found.relation),
        "view": sql.SQL(found.name),
        "bucket": sql.Identifier(found.column),
        "columns": listed(there),
    }
    conn.execute(sql.SQL("LOCK TABLE ONLY {relation} IN SHARE MODE").format(**names))
    create = "CREATE TEMPORARY TABLE {copy} ON COMMIT DROP AS SELECT {columns} FROM {relation}"
    conn.execute(sql.SQL(create).format(**names))
    if found.real_time:
        conn.execute(sql.SQL(NOT_YET).format(**names))
    [count] = conn.execute(sql.SQL("SELECT count(*) FROM {copy}").format(**names)).fetchone() or (0,)
    since = min((each.start for each in chunks(conn, found)), default=None)
    return Copy(
        table=table, name=found.name, bucket=found.column, kind=found.kind, columns=there, rows=count, since=since
    )


def put_back(conn: Connection, copy: Copy, now: Aggregate) -> Copy:
    """Insert what was kept into the new one, and compare. Raises RowsMissing."""
    if copy.kind != now.kind:
        raise BucketRetyped(copy.name, copy.kind, now.kind)
    there = columns(conn, now.relation)
    same = {
        each: each
        for each, type_ in there.items()
        if each != now.column and each in copy.columns and widens(copy.columns[each], type_)
    }
    same = {each: name for each, name in same.items() if name != copy.bucket} | {now.column: copy.bucket}
    into, out = sql.SQL(now.relation), sql.Identifier("pg_temp", copy.table)
    insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
    conn.execute(insert.format(into, listed(same), listed(same.values()), out))
    before = totals(conn, out, [(name, there[new]) for new, name in same.items()])
    after = totals(conn, into, [(new, there[new]) for new in same])
    for what, one, other in zip(("the number of rows", *same), before, after, strict=True):
        if str(one) != str(other):  # a sum may be NaN
            raise RowsMissing(copy.name, what, one, other)
    empty = [
        f"{each} ({copy.columns[each]} before, {type_} now)" if each in copy.columns else each
        for each, type_ in there.items()
        if each not in same
    ]
    wider = [f"{each} ({copy.columns[each]} before, {there[each]} now)" for each in same
             if each in copy.columns and copy.columns[each] != there[each]]  # fmt: skip
    gone = tuple(each for each in copy.columns if each not in there and each != copy.bucket)
    return replace(copy, empty=tuple(empty), wider=tuple(wider), gone=gone)


def holds(conn: Connection, copy: Copy, spans: Iterable[Span]) -> bool:
    """Whether columns that go have a value in these spans."""
    some = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(each)) for each in copy.gone)
    return any(
        conn.execute(
            sql.SQL("SELECT FROM {table} WHERE {bucket} >= {start} AND {bucket} < {end} AND ({some}) LIMIT 1").format(
                table=sql.Identifier("pg_temp", copy.table),
                bucket=sql.Identifier(copy.bucket),
                start=point(each.start, copy.kind),
                end=point(each.end, copy.kind),
                some=some,
            )
        ).fetchone()
        is not None
        for each in spans
    )


def totals(conn: Connection, relation: sql.Composable, named: list[tuple[str, str]]) -> tuple[Any, ...]:
    """The number of rows, and for each column its sum, or how many values it has."""
    each = [
        sql.SQL("sum({}::{}::numeric)").format(sql.Identifier(name), sql.SQL(type_))  # from the catalog
        if type_.partition("(")[0] in NUMBERS
        else sql.SQL("count({})").format(sql.Identifier(name))
        for name, type_ in named
    ]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join([sql.SQL("count(*)"), *each]), relation)
    return conn.execute(query).fetchone() or ()


def listed(names: Any) -> sql.Composable:
    """Columns, quoted."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def has_watermark(conn: Connection, name: str) -> bool:
    """Whether it was ever refreshed: before, real time does not show what it holds."""
    row = conn.execute(WATERMARK, (name,)).fetchone()
    return bool(row and row[0])
