"""Whether an object that a statement names is in the database: the catalog is asked, kind by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString, cast

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.statement import Object

    Connection = psycopg.Connection[tuple[object, ...]]


PRESENT, ABSENT, INVALID = "present", "absent", "invalid"

# kind → a query for its state; %(name)s is the bare name, %(path)s the quoted and qualified one, %(parent)s its table.
STATES: dict[str, LiteralString] = {
    "index": """SELECT CASE WHEN i.indisvalid AND i.indisready THEN 'present' ELSE 'invalid' END
                  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
                 WHERE CASE WHEN to_regclass(nullif(%(parent)s, '')) IS NULL THEN c.oid = to_regclass(%(path)s)
                            ELSE c.relname = %(name)s
                                 AND c.relnamespace = (SELECT relnamespace FROM pg_class
                                                        WHERE oid = to_regclass(%(parent)s)) END""",
    "table": "SELECT 'present' WHERE to_regclass(%(path)s) IS NOT NULL",
    "database": """SELECT CASE WHEN datconnlimit = -2 THEN 'invalid' ELSE 'present' END
                     FROM pg_database WHERE datname = %(name)s""",
    "tablespace": "SELECT 'present' FROM pg_tablespace WHERE spcname = %(name)s",
    "subscription": "SELECT 'present' FROM pg_subscription WHERE subname = %(name)s",
    "publication": "SELECT 'present' FROM pg_publication WHERE pubname = %(name)s",
    "extension": "SELECT 'present' FROM pg_extension WHERE extname = %(name)s",
    "schema": "SELECT 'present' FROM pg_namespace WHERE nspname = %(name)s",
    "role": "SELECT 'present' FROM pg_roles WHERE rolname = %(name)s",
    "type": "SELECT 'present' WHERE to_regtype(%(path)s) IS NOT NULL",
    "hypertable": """SELECT 'present' FROM timescaledb_information.hypertables
                      WHERE to_regclass(format('%%I.%%I', hypertable_schema, hypertable_name))
                            = to_regclass(%(path)s)""",
    "job": """SELECT 'present' FROM timescaledb_information.jobs
               WHERE proc_name = %(name)s
                 AND to_regclass(format('%%I.%%I', hypertable_schema, hypertable_name)) = to_regclass(%(parent)s)""",
}
STATES |= {
    "column": """SELECT 'present' FROM pg_attribute
                  WHERE attrelid = to_regclass(%(parent)s) AND attname = %(name)s AND NOT attisdropped""",
    "trigger": """SELECT 'present' FROM pg_trigger
                   WHERE tgrelid = to_regclass(%(parent)s) AND tgname = %(name)s AND NOT tgisinternal""",
    "policy": "SELECT 'present' FROM pg_policy WHERE polrelid = to_regclass(%(parent)s) AND polname = %(name)s",
    "rule": "SELECT 'present' FROM pg_rewrite WHERE ev_class = to_regclass(%(parent)s) AND rulename = %(name)s",
    "enum value": """SELECT 'present' FROM pg_enum
                      WHERE enumtypid = to_regtype(%(parent)s) AND enumlabel = %(name)s""",
    "constraint": """SELECT 'present' FROM pg_constraint
                      WHERE conrelid = to_regclass(%(parent)s) AND conname = %(name)s""",
    # By its name: an overloaded one cannot be told apart, and search_path decides where a bare name lies.
    "function": """SELECT 'present' FROM pg_proc
                    WHERE proname = %(name)s
                      AND CASE WHEN %(schema)s = '' THEN pronamespace::regnamespace::text = ANY (current_schemas(true))
                               ELSE pronamespace = to_regnamespace(quote_ident(%(schema)s)) END
                    LIMIT 1""",
}
STATES["procedure"] = STATES["function"]
STATES["domain"] = STATES["type"]
for relation in ("view", "materialized view", "sequence", "aggregate"):
    STATES[relation] = STATES["table"]


def path_of(name: str, schema: str) -> str:
    """A quoted name, qualified when the statement qualifies it, as to_regclass reads it."""
    return sql.Identifier(*([schema] if schema else []), name).as_string() if name else ""


def quoted(name: str) -> str:
    """`schema.name` as written in Facts, quoted."""
    schema, _, bare = name.rpartition(".")
    return path_of(bare, schema)


def state(conn: Connection, item: Object) -> str | None:
    """present, absent or invalid; None when the catalog is not asked for this kind."""
    query = STATES.get(item.kind)
    if query is None or not item.name:
        return None
    row = conn.execute(
        query,
        {
            "name": item.name,
            "schema": item.schema,
            "path": path_of(item.name, item.schema),
            "parent": quoted(item.parent),
        },
    ).fetchone()
    return cast("str", row[0]) if row else ABSENT
