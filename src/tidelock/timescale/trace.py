"""What is in the rows of an aggregate's history: taken before a step and after it, to be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.timescale import history

if TYPE_CHECKING:
    from tidelock.core.aggregates import Aggregate, History

    Connection = psycopg.Connection[Any]

TRACE = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum({hashed}), 0) FROM {relation} a WHERE {within}"""
"""Of the rows in a span: how many, and what is in them."""
HASHES = (
    "pg_catalog.hash_record_extended({}, 0)",
    "pg_catalog.hashtextextended(pg_catalog.encode(pg_catalog.record_send({}), 'hex'), 0)",
)
"""Of a row, whatever the settings: its values; of types without a hash, and before PostgreSQL 14, its bytes."""
COLUMNS = """
SELECT attname::text, attnum FROM pg_catalog.pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND attnum <= %s AND NOT attisdropped ORDER BY attnum"""
LAST = 2**15 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is in the rows of an aggregate's history, and how that was seen."""

    hashed: str
    last: int
    """The last column's number."""
    rows: int
    content: int


def first(conn: Connection, aggregate: Aggregate, found: History) -> Trace:
    """As it is before a step. Not in a transaction."""
    try:
        return taken(conn, aggregate, found, HASHES[0])
    except psycopg.errors.UndefinedFunction:
        return taken(conn, aggregate, found, HASHES[1])


def again(conn: Connection, aggregate: Aggregate, found: History, then: Trace) -> Trace:
    """As it is now, in the same columns: they may be called otherwise by now."""
    return taken(conn, aggregate, found, then.hashed, then.last)


def taken(conn: Connection, aggregate: Aggregate, found: History, hashed: str, last: int = LAST) -> Trace:
    """What the rows of its history have in the columns up to this one."""
    columns = conn.execute(COLUMNS, (aggregate.relation, last)).fetchall()
    row = sql.SQL("ROW({})").format(sql.SQL(", ").join(sql.Identifier("a", name) for name, _ in columns))
    query = sql.SQL(TRACE).format(
        hashed=sql.SQL(hashed).format(row),
        relation=sql.SQL(aggregate.relation),
        within=history.between(aggregate, found.span.start, found.span.end),
    )
    rows, content = conn.execute(query).fetchone() or (0, 0)
    return Trace(hashed=hashed, last=max(number for _, number in columns), rows=int(rows), content=int(content))
