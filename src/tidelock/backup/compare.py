"""What was restored, against what was backed up; and what was written since."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

import psycopg

from tidelock.backup.create import PLAINLY, rows_of
from tidelock.backup.faults import NotTheSame
from tidelock.backup.leftovers import APPLICATION
from tidelock.backup.reading import unsealed
from tidelock.backup.source import tables_of
from tidelock.backup.wording import settled
from tidelock.core.backups import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.app.ports import Server
    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest
    from tidelock.core.snapshot import Attributes, Key


def differences(server: Server, store: Store, manifest: Manifest, name: str, progress: Progress) -> list[str]:
    """What is not as it was backed up: rows of each table, and the schema."""
    found: list[str] = []
    with server.connect(APPLICATION, name) as conn:
        progress.tell("counting rows", None)
        conn.execute(PLAINLY)
        for table, rows in manifest.rows.items():
            try:
                now: object = rows_of(conn, table)
            except psycopg.errors.UndefinedTable:
                now = "no"
            if now != rows:
                found.append(f"{table} has {now} rows, and had {rows}")
        if (piece := manifest.piece("snapshot")) and manifest.scope == WHOLE:
            progress.tell("comparing the schema", None)
            before = BytesIO()
            unsealed(store, manifest, piece, before, progress)
            if before.getvalue() != (after := server.schema(conn)):
                found += schema_differences(before.getvalue(), after)
    return found


def look_over(server: Server, store: Store, manifest: Manifest, name: str, progress: Progress) -> None:
    """Raise NotTheSame when what was restored is not what was backed up."""
    if found := differences(server, store, manifest, name, progress):
        raise NotTheSame(manifest.id, found)


def schema_differences(before: bytes, after: bytes) -> list[str]:
    """Objects that differ, by name.

    Not the order of columns: who inherits some has those first in what pg_dump makes, wherever they were.
    """
    from tidelock.core.snapshot import unpacked

    one, other = unpacked(before.decode()).objects, unpacked(after.decode()).objects
    if one == other:
        return ["the schema"]
    return [
        f"{kind} {name} is another one" if (kind, name) in one and (kind, name) in other else f"{kind} {name}"
        for kind, name in sorted({*one, *other})
        if settled(one.get((kind, name))) != settled(other.get((kind, name)))
        and not (kind == "extension" and but_for_version(one.get((kind, name)), other.get((kind, name))))
        and not unfinished(one.get((kind, name)), other.get((kind, name)))
        and not (kind == "column order" and reordered(one, other, name))
    ]


def but_for_version(one: Attributes | None, other: Attributes | None) -> bool:
    """Whether an extension is there, in another version: CREATE EXTENSION makes the server's own."""
    return one is not None and other is not None and {**one, "version": ""} == {**other, "version": ""}


def unfinished(one: Attributes | None, other: Attributes | None) -> bool:
    """An index whose build had failed: pg_dump leaves it out, and nobody misses it."""
    return other is None and one is not None and bool(one.get("invalid"))


def reordered(one: Mapping[Key, Attributes], other: Mapping[Key, Attributes], table: str) -> bool:
    """Whether a table that inherits has the same columns, in another order."""
    orders = [objects.get(("column order", table), {}).get("columns", ()) for objects in (one, other)]
    return bool(one.get(("table", table), {}).get("inherits")) and sorted(orders[0]) == sorted(orders[1])


def written_since(server: Server, manifest: Manifest) -> list[tuple[str, int | None, int]]:
    """(table, rows then, rows now) of those tables whose number of rows is another one now; then is None for a new one.

    What TimescaleDB keeps in chunks is told of their hypertable or aggregate, as far as it was not compressed then, and
    is not now: how many rows a packed one has is not known.
    """
    found: dict[str, tuple[int | None, int]] = {}
    with server.connect(APPLICATION) as conn:
        conn.execute(PLAINLY)
        there = {each.hashed or each.pattern for each in tables_of(conn)}
        timescale = conn.execute(TIMESCALE).fetchone() is not None
        owners = dict(conn.execute(OWNERS)) if timescale else {}
        packed = {name for (name,) in conn.execute(PACKED)} if timescale else set()
        for table in sorted({*manifest.rows, *there}):
            if table.startswith(COMPRESSED) or table in packed:
                continue  # its rows are those of a chunk once more, packed
            then, now = manifest.rows.get(table), rows_of(conn, table) if table in there else 0
            told = owners.get(chunk[1], table) if (chunk := CHUNK.fullmatch(table)) else table
            before, after = found.get(told, (None, 0))
            found[told] = (then if before is None else before + (then or 0), after + now)
    return [(table, then, now) for table, (then, now) in sorted(found.items()) if then != now]


CHUNK = re.compile(r'"_timescaledb_internal"\."_hyper_(\d+)_\d+_chunk"')
PACKED = """
SELECT '"' || chunk_schema || '"."' || chunk_name || '"' FROM timescaledb_information.chunks WHERE is_compressed"""
COMPRESSED = '"_timescaledb_internal"."compress_hyper_'
TIMESCALE = "SELECT FROM pg_extension WHERE extname = 'timescaledb'"
OWNERS = """
SELECT h.id::text, '"' || replace(coalesce(a.user_view_schema, h.schema_name), '"', '""') || '"."'
                || replace(coalesce(a.user_view_name, h.table_name), '"', '""') || '"'
  FROM _timescaledb_catalog.hypertable h
  LEFT JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = h.id"""
