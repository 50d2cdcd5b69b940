"""Chunks that lose rows in the transaction at hand: what was made of them cannot be made of them again.

The server counts, for each table, what the open transaction has deleted; a TRUNCATE gives it another file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from tidelock.core.aggregates import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    Connection = psycopg.Connection[Any]
    Chunks = Mapping[int, "Chunk"]
    """By their numbers."""

HAS_RELID = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '_timescaledb_catalog.compression_settings'::regclass
                                          AND attname = 'compress_relid')"""
COUNTS = """
SELECT k.id, format('%%I.%%I', i.hypertable_schema, i.hypertable_name),
       coalesce(i.range_start_integer, (extract(epoch FROM i.range_start) * 1000000)::bigint),
       coalesce(i.range_end_integer, (extract(epoch FROM i.range_end) * 1000000)::bigint),
       c.relfilenode, pg_stat_get_xact_tuples_deleted(c.oid),
       pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid),
       z.oid, coalesce(pg_stat_get_xact_tuples_deleted(z.oid), 0), coalesce(pg_stat_get_xact_tuples_inserted(z.oid), 0)
  FROM timescaledb_information.chunks i
  JOIN _timescaledb_catalog.chunk k ON k.schema_name = i.chunk_schema AND k.table_name = i.chunk_name
  JOIN pg_namespace n ON n.nspname = i.chunk_schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = i.chunk_name
  {compressed}
 WHERE (format('%%I.%%I', i.hypertable_schema, i.hypertable_name) = ANY(%s) OR k.id = ANY(%s))
   AND (i.range_start_integer IS NOT NULL OR isfinite(i.range_start) AND isfinite(i.range_end))"""
BY_RELID = """
  LEFT JOIN _timescaledb_catalog.compression_settings s ON s.relid = c.oid
  LEFT JOIN pg_class z ON z.oid = s.compress_relid"""
BY_ID = """
  LEFT JOIN _timescaledb_catalog.chunk kz ON kz.id = k.compressed_chunk_id
  LEFT JOIN pg_namespace zn ON zn.nspname = kz.schema_name
  LEFT JOIN pg_class z ON z.relname = kz.table_name AND z.relnamespace = zn.oid"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One, at a moment of a transaction."""

    table: str
    """The hypertable, `schema.name`."""
    start: int
    end: int
    file: int
    deleted: int
    written: int
    compressed: int | None
    """The table that holds its compressed rows."""
    batches_deleted: int
    batches_written: int

    def lost(self, now: Chunk | None) -> bool:
        """Rows went, and not into the columnstore or out of it."""
        if now is None:
            return True
        if now.batches_written > self.batches_written or (now.compressed and not self.compressed):
            return False
        if now.deleted > self.deleted or now.file != self.file:
            return True
        return now.batches_deleted > self.batches_deleted and now.written == self.written


def counted(conn: Connection, tables: Iterable[str] = (), numbers: Iterable[int] = ()) -> dict[int, Chunk]:
    """Chunks, by their hypertables or by their numbers, in the open transaction. Locks nothing."""
    by = BY_RELID if conn.execute(HAS_RELID).fetchone() == (True,) else BY_ID
    query: LiteralString = COUNTS.replace("{compressed}", by)
    return {number: Chunk(*rest) for number, *rest in conn.execute(query, (list(tables), list(numbers))).fetchall()}


def taken(conn: Connection, before: Chunks, table: str, kind: str) -> list[Span]:
    """Where rows of a hypertable went since."""
    now = counted(conn, numbers=before)
    return [
        Span(start=each.start, end=each.end, kind=kind)
        for number, each in before.items()
        if each.table == table and each.lost(now.get(number))
    ]
