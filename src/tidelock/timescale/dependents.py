"""What goes with an object: asked of pg_depend on the live server, as CASCADE would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.formerly import Path
    from tidelock.core.statement import Object

    Connection = psycopg.Connection[Any]
    Address = tuple[int, int, int]
    """pg_depend's (classid, objid, objsubid)."""

# A name without a schema is what search_path finds: the file's, or the connection's; what that does not find may lie in
# any, and so may all where nobody can say what the file has set.
PLACE = """
 CASE WHEN %(schema)s <> '' THEN n.nspname = %(schema)s
      WHEN cardinality(%(path)s::text[]) > 0
      THEN n.nspname = (SELECT p.name FROM unnest(%(path)s::text[]) WITH ORDINALITY p (name, place)
                         WHERE EXISTS (SELECT FROM {table} v JOIN pg_namespace vn ON vn.oid = v.{space}
                                        WHERE v.{name} = %(name)s AND vn.nspname = p.name) ORDER BY p.place LIMIT 1)
      ELSE {visible}(o.oid) OR ((%(path)s::text[] IS NOT NULL
                                 OR NOT EXISTS (SELECT FROM {table} v WHERE v.{name} = %(name)s AND {visible}(v.oid)))
                                AND n.nspname !~ '^pg_') END"""


def _placed(query: str, table: str, name: str, visible: str) -> str:
    """A query with its {place} filled in."""
    return query.replace("{place}", PLACE).format(table=table, name=name, space=f"{name[:3]}namespace", visible=visible)


RELATION = """
SELECT 'pg_class'::regclass::oid, o.oid, 0 FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
 WHERE o.relname = %(name)s AND {place}"""
COLUMN = """
SELECT 'pg_class'::regclass::oid, o.oid, a.attnum FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
  JOIN pg_attribute a ON a.attrelid = o.oid AND a.attname = %(column)s AND NOT a.attisdropped
 WHERE o.relname = %(name)s AND {place}"""
FUNCTION = """
SELECT 'pg_proc'::regclass::oid, o.oid, 0 FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace
 WHERE o.proname = %(name)s AND {place}"""
TYPE = """
SELECT 'pg_type'::regclass::oid, o.oid, 0 FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace
 WHERE o.typname = %(name)s AND {place}"""
OPERATOR = """
SELECT 'pg_operator'::regclass::oid, o.oid, 0 FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
 WHERE o.oprname = %(name)s AND {place}"""
CLASS = ("pg_class", "relname", "pg_table_is_visible")
RELATIONS = ("table", "view", "materialized view", "index", "sequence", "aggregate", "hypertable")
ROOTS = {
    **dict.fromkeys(RELATIONS, _placed(RELATION, *CLASS)),
    "column": _placed(COLUMN, *CLASS),
    **dict.fromkeys(("function", "procedure"), _placed(FUNCTION, "pg_proc", "proname", "pg_function_is_visible")),
    **dict.fromkeys(("type", "domain"), _placed(TYPE, "pg_type", "typname", "pg_type_is_visible")),
    "operator": _placed(OPERATOR, "pg_operator", "oprname", "pg_operator_is_visible"),
    "constraint": "SELECT 'pg_constraint'::regclass::oid, oid, 0 FROM pg_constraint WHERE conname = %(name)s",
    "schema": "SELECT 'pg_namespace'::regclass::oid, oid, 0 FROM pg_namespace WHERE nspname = %(name)s",
    "extension": "SELECT 'pg_extension'::regclass::oid, oid, 0 FROM pg_extension WHERE extname = %(name)s",
    "owner": """
SELECT s.classid, s.objid, s.objsubid FROM pg_shdepend s
 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o'
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = coalesce(nullif(%(name)s, ''), current_user))""",
}
"""Kind → the objects that a name may mean. One too many does no harm: what is named by mistake is asked for as well."""

# A rule is of its view, a row type of its table: with the part goes the whole ('i'). Chunks are many and alike.
GONE = """
WITH RECURSIVE gone (classid, objid, objsubid) AS (
  SELECT * FROM unnest(%(classes)s::oid[], %(objects)s::oid[], %(parts)s::int[])
  UNION
  SELECT n.classid, n.objid, n.objsubid FROM gone g, LATERAL (
    SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
     WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
       AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = d.objid))
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d
     WHERE d.classid = g.classid AND d.objid = g.objid AND d.deptype = 'i' AND g.objsubid = 0) n)
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname)
  FROM {} JOIN pg_class c ON c.oid = g.objid AND g.classid = 'pg_class'::regclass AND g.objsubid = 0
  JOIN pg_namespace n ON n.oid = c.relnamespace"""
ROOTS_ALONE = "unnest(%(classes)s::oid[], %(objects)s::oid[], %(parts)s::int[]) g (classid, objid, objsubid)"

VIEWS = """
SELECT mat_hypertable_id, format('%I.%I', user_view_schema, user_view_name),
       format('%I.%I', partial_view_schema, partial_view_name), format('%I.%I', direct_view_schema, direct_view_name),
       format('_timescaledb_internal.%I', h.table_name)
  FROM _timescaledb_catalog.continuous_agg a JOIN _timescaledb_catalog.hypertable h ON h.id = a.mat_hypertable_id"""

OF_COMPRESSED = "SELECT id FROM _timescaledb_catalog.hypertable WHERE compressed_hypertable_id = %s"
INTERNAL = re.compile(r"_materialized_hypertable_(?P<own>\d+)|(?P<compressed>compress)?_hyper_(?P<chunk>\d+)_\d+_chunk")


@dataclass(frozen=True, slots=True)
class Gone:
    """What a DROP takes: relations by their names, and aggregates by their numbers."""

    relations: frozenset[str]
    aggregates: frozenset[int]


def named(conn: Connection, what: Object, path: Path) -> list[Address]:
    """The objects that a name may mean."""
    query = ROOTS.get(what.kind)
    if query is None:
        return []
    name, schema = what.name, what.schema
    if what.kind == "column":
        schema, _, name = what.parent.rpartition(".")
    given = {"name": name, "schema": schema, "column": what.name, "path": None if path is None else list(path)}
    return [(row[0], row[1], row[2]) for row in conn.execute(query.encode(), given).fetchall()]


def relations(conn: Connection, what: Object, path: Path) -> frozenset[str]:
    """The relations that a name may mean, `schema.name`, quoted as the catalog quotes."""
    return _names(conn, named(conn, what, path), ROOTS_ALONE)


def gone(conn: Connection, what: Object, path: Path, *, cascade: bool) -> Gone:
    """What goes when this is dropped."""
    names = _names(conn, named(conn, what, path), "gone g" if cascade else ROOTS_ALONE)
    numbers = {row[0] for row in conn.execute(VIEWS).fetchall() if not names.isdisjoint(row[1:])}
    return Gone(names, frozenset(numbers))


def _names(conn: Connection, roots: list[Address], source: str) -> frozenset[str]:
    if not roots:
        return frozenset()
    classes, objects, parts = map(list, zip(*roots, strict=True))
    given = {"classes": classes, "objects": objects, "parts": parts}
    return frozenset(str(name) for (name,) in conn.execute(GONE.format(source).encode(), given))


def of_internal(conn: Connection, name: str) -> int | None:
    """The number of the hypertable that a materialized hypertable, or a chunk, is or belongs to."""
    found = INTERNAL.fullmatch(name)
    if found is None:
        return None
    number = int(found["own"] or found["chunk"])
    if not found["compressed"]:
        return number
    row = conn.execute(OF_COMPRESSED, (number,)).fetchone()
    return int(row[0]) if row else None
