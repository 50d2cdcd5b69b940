"""The range that a refresh or drop_chunks names → numbers, as the live server reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.core.aggregates import INTEGERS, Span
from tidelock.timescale.points import number

if TYPE_CHECKING:
    from tidelock.core.threats import Bound

    Connection = psycopg.Connection[Any]

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_000_000
"""0001-01-01 and 9999-12-31, in microseconds."""


def span(conn: Connection, start: Bound, end: Bound, kind: str) -> Span | None:
    """The range; None for everything. An end that cannot be read is open."""
    low, high = value(conn, start, kind), value(conn, end, kind)
    return None if low is None and high is None else between(low, high, kind)


def between(low: int | None, high: int | None, kind: str) -> Span:
    """The range between two points; None is no bound."""
    first, last = (-(2**62), 2**62) if kind in INTEGERS else (FIRST, LAST)
    if kind in ("smallint", "integer"):
        first, last = (-(2**15), 2**15 - 1) if kind == "smallint" else (-(2**31), 2**31 - 1)
    return Span(
        start=first if low is None else max(low, first), end=last if high is None else min(high, last), kind=kind
    )


def value(conn: Connection, bound: Bound, kind: str) -> int | None:
    """The number of one end; None when it is open or cannot be read."""
    if not bound.value or bound.value.lower() in ("infinity", "-infinity"):
        return None
    if bound.age:
        at: sql.Composable = sql.SQL("(now() - {}::interval)::{}").format(sql.Literal(bound.value), sql.SQL(kind))
    else:
        at = sql.SQL("{}::{}").format(sql.Literal(bound.value), sql.SQL(kind))
    try:
        row = conn.execute(sql.SQL("SELECT {}").format(number(kind, at))).fetchone()
    except (psycopg.DataError, psycopg.ProgrammingError):  # an age over integers, a word that is no time
        return None
    return int(row[0]) if row and row[0] is not None else None
