"""Values that the columnstore does not hold: a column added with a default over compressed chunks has them in the
catalog only, and whatever writes such a chunk anew turns them to NULL (timescale/timescaledb#8091)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.timescale.refusals import DefaultsForgotten

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.threats import Threat
    from tidelock.timescale.losses import Reckoning

    Connection = psycopg.Connection[Any]

RECOMPRESSES = (2, 24)
"""Before, `compress_chunk(c, recompress => true)` passes over a chunk that no rows have been added to."""

# The chunk has a missing value; whether the compressed rows rely on it, only they can say.
FRAGILE = """
SELECT format('%%I.%%I', h.schema_name, h.table_name), a.attname::text, s.compress_relid::regclass::text
  FROM _timescaledb_catalog.hypertable h
  JOIN _timescaledb_catalog.chunk k ON k.hypertable_id = h.id
  JOIN pg_class c ON c.relname = k.table_name
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = k.schema_name
  JOIN _timescaledb_catalog.compression_settings s ON s.relid = c.oid AND s.compress_relid IS NOT NULL
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.atthasmissing AND NOT a.attisdropped
 WHERE format('%%I.%%I', h.schema_name, h.table_name) = ANY (%(tables)s)
    OR format('%%I.%%I', k.schema_name, k.table_name) = ANY (%(tables)s)
 ORDER BY 1, 2"""


def consider(reckoning: Reckoning, threat: Threat) -> None:
    """A statement that may write chunks anew, or that adds a column or recompresses."""
    action = threat.action
    assert action is not None
    if action.what == "call" and action.name.endswith("compress_chunk"):
        if action.name.endswith("decompress_chunk") or reckoning.stock.release >= RECOMPRESSES:
            reckoning.fragile.clear()
            reckoning.recompressed = True
        return
    tables = reckoning.names.relations(threat.what)
    if not threat.what.name:
        tables = frozenset(each.name for each in reckoning.stock.hypertables if each.compressed)
    compressed = {each.name: each.compressed for each in reckoning.stock.hypertables if each.compressed}
    column = action.column
    if action.what == "add column" and column is not None and not column.serial:
        reckoning.fragile |= {(name, column.name) for name in tables & compressed.keys()}
        return
    if action.what == "vacuum full" and tables & compressed.keys():
        return  # of a whole hypertable it is harmless since PR #9024; of a chunk it is not
    lost = [] if reckoning.recompressed else list(fragile(reckoning.conn, tables))
    lost += [(name, each, compressed[name]) for name, each in sorted(reckoning.fragile) if name in tables]
    if column is not None:
        lost += [(name, column.name, compressed[name]) for name in sorted(tables & compressed.keys())]
    if lost and "L046" not in reckoning.file.allows:
        reckoning.refusals.append(DefaultsForgotten(reckoning.place, reckoning.text, lost))


def fragile(conn: Connection, tables: frozenset[str]) -> list[tuple[str, str, int]]:
    """(hypertable, column, chunks) whose compressed rows rely on a default in the catalog."""
    found: dict[tuple[str, str], int] = {}
    for table, column, relation in conn.execute(FRAGILE, {"tables": list(tables)}).fetchall():
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NULL)").format(
            sql.SQL(relation), sql.Identifier(column)
        )
        if (conn.execute(query).fetchone() or (False,))[0]:
            found[table, column] = found.get((table, column), 0) + 1
    return [(table, column, chunks) for (table, column), chunks in found.items()]
