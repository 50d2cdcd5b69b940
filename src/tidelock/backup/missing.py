"""Defaults that TimescaleDB's compressed rows have only in the catalog, which pg_dump does not carry.

ADD COLUMN … DEFAULT writes no row: PostgreSQL keeps the value in pg_attribute.attmissingval, and compressed rows of
before take it from there for as long as they stay compressed. In a table that was dumped and made anew it is gone, and
they are NULL. (2.28 and 2.29; https://github.com/timescale/timescaledb/issues/8091)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from psycopg import errors, sql

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME, WHAT = "00-missing.json", "missing"
EXACTLY = "SET LOCAL datestyle = iso; SET LOCAL intervalstyle = postgres; SET LOCAL extra_float_digits = 3"
MISSING = """
SELECT k.schema_name, k.table_name, a.attname, (a.attmissingval::text::text[])[1]
  FROM _timescaledb_catalog.chunk k JOIN pg_catalog.pg_namespace n ON n.nspname = k.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 WHERE a.atthasmissing AND NOT a.attisdropped
   AND (to_jsonb(k) ->> 'compressed_chunk_id' IS NOT NULL OR NOT to_jsonb(k) ? 'compressed_chunk_id')
 ORDER BY 1, 2, 3"""
Missing = tuple[str, str, str, str]
"""Schema, table, column, value."""


def missing(conn: Any) -> list[Missing]:
    """All of them, in a database with TimescaleDB."""
    with conn.transaction(force_rollback=True):
        conn.execute(EXACTLY)
        return [tuple(row) for row in conn.execute(MISSING)]


def content_of(found: Sequence[Missing]) -> bytes:
    """What the piece holds."""
    return json.dumps(found).encode()


TYPE = """
SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
 WHERE a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attname = %s"""
# The value has the type anyarray, which no expression makes: it is copied from a table that has it.
COPY = """
UPDATE pg_attribute a SET atthasmissing = true, attmissingval = b.attmissingval FROM pg_attribute b
 WHERE b.attrelid = 'pg_temp.missing'::regclass AND b.attname = 'value' AND b.atthasmissing
   AND a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attname = %s"""


def put_back(conn: Any, content: bytes) -> None:
    """Give the catalog what the piece holds. Only a superuser may."""
    groups: dict[tuple[str, str], list[list[str]]] = {}
    for schema, table, column, value in json.loads(content):
        [kind] = conn.execute(TYPE, (schema, table, column)).fetchone()
        groups.setdefault((kind, value), []).append([schema, table, column])
    with conn.transaction():
        conn.execute("SET LOCAL allow_system_table_mods = on")
        for (kind, value), columns in groups.items():
            conn.execute("CREATE TEMP TABLE missing ()")
            added = sql.SQL("ALTER TABLE pg_temp.missing ADD COLUMN value {} DEFAULT {}")
            conn.execute(added.format(sql.SQL(kind), sql.Literal(value)))
            for each in columns:
                if conn.execute(COPY, each).rowcount != 1:
                    raise errors.UndefinedColumn(f"the default of {'.'.join(each)} cannot be put back")
            conn.execute("DROP TABLE pg_temp.missing")
