"""Points in time between Python and the server: TimescaleDB's numbers (see `core.aggregates`) and SQL values."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from psycopg import sql

from tidelock.core.aggregates import EPOCH, INTEGERS

if TYPE_CHECKING:
    from tidelock.core.aggregates import Aggregate

TYPES = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}
LIMITS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def regular(kind: str) -> str:
    """The short name of a type, as in Span."""
    return TYPES.get(kind, kind)


def number(kind: str, value: sql.Composable) -> sql.Composable:
    """SQL for the number of a value of that type."""
    if kind in INTEGERS:
        return sql.SQL("({})::bigint").format(value)
    return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(value)


def text(value: int, kind: str) -> str:
    """A number as the server reads it: `2026-05-27 00:00:00.000000+00`, or `17`."""
    if kind in INTEGERS:
        return str(value)
    try:
        at = EPOCH + timedelta(microseconds=value)
    except OverflowError:  # PostgreSQL's calendar is longer than Python's
        return "infinity" if value > 0 else "-infinity"
    return at.replace(tzinfo=None).isoformat(" ", "microseconds") + ("+00" if kind == "timestamptz" else "")


def point(value: int, kind: str) -> sql.Composable:
    """SQL for a value of that type from its number; a number that the type does not hold stays comparable with it."""
    if kind in INTEGERS:
        value = min(max(value, -LIMITS["bigint"]), LIMITS["bigint"])
        kind = kind if abs(value) <= LIMITS[kind] else "bigint"
    return sql.SQL("{}::{}").format(sql.Literal(text(value, kind)), sql.SQL(kind))


def bucket_end(found: Aggregate, start: sql.Composable) -> sql.Composable:
    """SQL for the end of the bucket that begins at `start`."""
    width = sql.Literal(found.bucket)
    if found.kind in INTEGERS:
        return sql.SQL("({} + {}::bigint)").format(start, width)
    if found.kind == "timestamptz":
        # Days and months are added in the bucket's zone: without one that is UTC, never that of the session.
        zone = sql.Literal(found.timezone or "UTC")
        return sql.SQL("(({0} AT TIME ZONE {1} + {2}::interval) AT TIME ZONE {1})").format(start, zone, width)
    return sql.SQL("({} + {}::interval)").format(start, width)


def as_source(found: Aggregate, value: sql.Composable) -> sql.Composable:
    """A point in time as the time column of its source has it."""
    return sql.SQL("to_uuidv7_boundary({})").format(value) if found.source_kind == "uuid" else value
