"""What is in a shadow database: its schema, the rows of its tables, and where its sequences stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString, cast

from psycopg import sql

from tidelock.core.proof import Rows, State
from tidelock.postgres import ledger as ledgers
from tidelock.postgres.connection import asking
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.proof import Column

    Connection = psycopg.Connection[tuple[object, ...]]

CATALOGS = (
    "pg_aggregate", "pg_attrdef", "pg_attribute", "pg_cast", "pg_class", "pg_collation",
    "pg_constraint", "pg_conversion", "pg_default_acl", "pg_depend",
    "pg_description", "pg_enum", "pg_event_trigger", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server",
    "pg_foreign_table", "pg_index", "pg_inherits", "pg_init_privs", "pg_language", "pg_namespace", "pg_opclass",
    "pg_operator", "pg_partitioned_table", "pg_policy", "pg_proc", "pg_publication", "pg_publication_rel", "pg_range",
    "pg_rewrite", "pg_seclabel", "pg_sequence", "pg_statistic_ext", "pg_transform", "pg_trigger",
    "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_type",
)  # fmt: skip
USERS = {
    "pg_attribute": "attrelid >= 16384",
    "pg_class": "oid >= 16384",
    "pg_description": "objoid >= 16384 OR classoid = 'pg_catalog.pg_namespace'::regclass",
    "pg_operator": "oid >= 16384",
    "pg_proc": "oid >= 16384",
    "pg_ts_config_map": "mapcfg >= 16384",
    "pg_type": "oid >= 16384",
}
"""The large ones, without what PostgreSQL itself has in them: a snapshot does not look at that."""
MARK = "SELECT string_agg(n || ':' || coalesce(x, 0), ' ') FROM ({each}) each"
SHARED: LiteralString = """
SELECT 0, hashtext(coalesce(d.datacl::text, '') || coalesce((SELECT string_agg(s.setrole || s.setconfig::text, ' ')
         FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid), ''))::numeric
  FROM pg_catalog.pg_database d WHERE d.datname = current_database()"""
OURS = (
    "NOT starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'"
    " AND NOT starts_with(n.nspname, '_timescaledb_')"
)
TABLES = """
SELECT n.nspname, c.relname,
       CASE WHEN c.relkind = 'r' AND pg_relation_size(c.oid) = 0 AND NOT c.relhassubclass THEN '{}'
            ELSE (SELECT coalesce(array_agg(a.attname ORDER BY a.attnum), '{}') FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END::text[]
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {ours} AND (c.relkind IN ('r', 'm') OR (c.relkind = 'v' AND {aggregates}))
   AND (c.relkind <> 'm' OR c.relispopulated)
   AND NOT (n.nspname = %s AND c.relname = ANY (%s))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2"""
AGGREGATES = (
    "(n.nspname, c.relname) IN (SELECT view_schema, view_name FROM timescaledb_information.continuous_aggregates)"
)
HAS_TIMESCALE = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
SEQUENCES = """
SELECT format('%%I.%%I', n.nspname, s.sequencename), s.last_value
  FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
 WHERE {ours} AND NOT (n.nspname = %s AND s.sequencename = %s)"""
# Columns that a sequence fills, by whatever default, and along foreign keys those that refer to them.
DRAWN = """
WITH RECURSIVE drawn AS (
  SELECT a.attrelid, a.attnum FROM pg_attribute a WHERE a.attidentity <> ''
  UNION
  SELECT d.adrelid, d.adnum FROM pg_attrdef d WHERE pg_get_expr(d.adbin, d.adrelid) ~ 'nextval'
  UNION
  SELECT k.conrelid, pair.mine FROM drawn, pg_constraint k, unnest(k.conkey, k.confkey) pair (mine, its)
   WHERE k.contype = 'f' AND k.confrelid = drawn.attrelid AND pair.its = drawn.attnum)
SELECT format('%I.%I', n.nspname, c.relname), a.attname
  FROM drawn JOIN pg_class c ON c.oid = drawn.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = drawn.attrelid AND a.attnum = drawn.attnum"""


def state(
    conn: Connection, configured_ledger: str | None = None, known: State | None = None, *, marked: bool = True
) -> State:
    """Everything that a proof compares, without the ledger. `known` is an earlier look at the same database.

    `marked`: with a mark, by which this or a later look may save itself the schema.
    """
    ledger = ledgers.find(asking(conn), configured_ledger)
    ours = [ledger.table, f"{ledger.table}_journal", f"{ledger.table}_lease"]
    row = conn.execute(HAS_TIMESCALE).fetchone()
    catalog = "" if (row and row[0]) or not marked else mark(conn)
    same = known is not None and bool(catalog) and known.catalog == catalog
    query = TABLES.replace("{ours}", OURS).replace("{aggregates}", AGGREGATES if row and row[0] else "false")
    tables = cast("list[tuple[str, str, list[str]]]", conn.execute(query.encode(), (ledger.schema, ours)).fetchall())
    journal = f"{ledger.table}_journal_id_seq"
    sequences = cast(
        "list[tuple[str, int | None]]",
        conn.execute(SEQUENCES.replace("{ours}", OURS).encode(), (ledger.schema, journal)).fetchall(),
    )
    return State(
        schema=known.schema if same and known else take(conn),
        catalog=catalog,
        rows=rows(conn, tables),
        sequences=dict(sequences),
        drawn=known.drawn if same and known else drawn(conn) if sequences else frozenset(),
    )


def drawn(conn: Connection) -> frozenset[Column]:
    """Columns that sequences fill."""
    return frozenset(cast("list[Column]", conn.execute(DRAWN).fetchall()))


def mark(conn: Connection) -> str:
    """Changes whenever a row of the catalog is written or removed: two milliseconds in place of forty."""
    each = "SELECT count(*) n, sum(xmin::text::bigint) x FROM pg_catalog.{} WHERE {}"
    queries = [each.format(name, USERS.get(name, "true")) for name in CATALOGS]
    row = conn.execute(MARK.replace("{each}", " UNION ALL ".join([*queries, SHARED])).encode()).fetchone()
    return str(row[0]) if row else ""


def rows(conn: Connection, tables: list[tuple[str, str, list[str]]]) -> dict[str, Rows]:
    """Number of rows and a digest per column. Tables without columns here are known to be empty."""
    found = {f"{schema}.{table}": Rows(0, {}) for schema, table, _ in tables}
    queries = [counted(schema, table, columns) for schema, table, columns in tables if columns]
    if queries:
        for name, count, digests in conn.execute(sql.SQL(" UNION ALL ").join(queries)):
            found[str(name)] = Rows(cast("int", count), cast("dict[str, str]", digests))
    return found


def counted(schema: str, table: str, columns: list[str]) -> sql.Composed:
    """The query for one table: a sum of hashes needs no order and no memory, however many rows there are."""
    digest = sql.SQL("""{name}, count({column}) || ':' || sum(hashtextextended({column}::text COLLATE "C", 0))""")
    digests = (digest.format(name=sql.Literal(name), column=sql.Identifier(name)) for name in columns)
    return sql.SQL("SELECT {}, count(*), json_build_object({}) FROM {}").format(
        sql.Literal(f"{schema}.{table}"), sql.SQL(", ").join(digests), sql.Identifier(schema, table)
    )
