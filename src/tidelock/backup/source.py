"""What a backup asks the database about itself, in the one snapshot that all of its parts share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidelock.backup.leftovers import APPLICATION, maintenance
from tidelock.backup.missing import missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from tidelock.app.ports import Server
    from tidelock.backup.missing import Missing

    Connection = psycopg.Connection[Any]

MIXED_GROUP_BYTES = 64 << 20
"""Smaller tables share a stream."""
PART_BYTES = 256 << 20
"""A table that is cut has no smaller parts."""
STREAM_BYTES = 4 << 30
"""Tables share no more: what is left for one dump of all small ones stays small too."""
OBJECT_BYTES = 60 << 30
"""A table is cut into objects of this size at most: a larger one would want larger parts, which lie in memory."""
LOADED_AND_INDEXED = 2
"""How much longer that takes than loading alone, about. Parts are not frozen, so a table is cut only when it helps."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of its own: also a partition, a chunk."""

    schema: str
    name: str
    size_bytes: int
    columns: tuple[str, ...] = ()
    """Quoted; none when its rows are left to pg_dump."""
    pages: int = 0
    """Among which it can be cut; 0 when it must stay in order."""
    hashed: str = ""
    """The table above it that is partitioned by hash."""
    binary: bool = False
    """COPY's binary form of its rows means the same on every machine and to every later version."""

    @property
    def pattern(self) -> str:
        """As pg_dump's --table takes it, and as SQL: `"schema"."name"`."""
        return ".".join('"' + each.replace('"', '""') + '"' for each in (self.schema, self.name))


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that are dumped in one go."""

    tables: tuple[Table, ...]
    where: str = ""
    """Which rows of its one table; all when empty."""

    @property
    def size_bytes(self) -> int:
        """On disk, at most."""
        return sum(each.size_bytes for each in self.tables)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a stream that COPY writes."""
        return self.tables[0].columns if len(self.tables) == 1 else ()


# Foreign tables have no rows here; the tables of extensions go with the extension, their configuration with `rest`.
# Left to pg_dump are TimescaleDB's databases (what a chunk shows is not what it holds), other storage than heap, and
# partitions by hash: the hash of an enum's value is another one in another database, and rows change their partition.
# Cut is what version 14 can read from the middle, and never below a BRIN index: parts that are loaded side by side lie
# side by side.
# Binary is what these types are on every machine and in every version; enums are sent by label. Not arrays of enums,
# which name their type by its number. A domain checks binary values too. Text is in the client's encoding: UTF-8, ours.
TABLES = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_size(c.oid),
       CASE WHEN m.amname = 'heap' AND hashed.name IS NULL
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb')
            THEN (SELECT array_agg('"' || replace(a.attname, '"', '""') || '"' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') END,
       CASE WHEN current_setting('server_version_num')::int >= 140000
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                               JOIN pg_catalog.pg_am b ON b.oid = x.relam
                              WHERE i.indrelid = c.oid AND b.amname = 'brin')
            THEN pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END,
       coalesce(hashed.name, ''),
       current_setting('server_encoding') = 'UTF8'
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                           JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
                           LEFT JOIN pg_catalog.pg_type e ON e.typarray = b.oid
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                            AND b.typtype <> 'e'
                            AND NOT (b.typnamespace = 'pg_catalog'::regnamespace AND coalesce(e.typname, b.typname) IN (
                              'bool', 'bytea', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'text',
                              'varchar', 'bpchar', 'uuid', 'date', 'time', 'timetz', 'timestamp', 'timestamptz',
                              'interval', 'json', 'jsonb')))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
  LEFT JOIN LATERAL (
    SELECT '"' || replace(s.nspname, '"', '""') || '"."' || replace(r.relname, '"', '""') || '"' AS name
      FROM pg_catalog.pg_partition_ancestors(c.oid) a (oid)
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.oid AND p.partstrat = 'h'
      JOIN pg_catalog.pg_class r ON r.oid = a.oid JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
     WHERE c.relispartition
     ORDER BY (SELECT count(*) FROM pg_catalog.pg_partition_ancestors(a.oid)) LIMIT 1) hashed ON true
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 3 DESC, 1, 2"""

ABOUT = """
SELECT d.datname, current_setting('server_version_num')::int,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text,
       to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
       (SELECT coalesce(json_object_agg(extname, extversion), '{}') FROM pg_extension WHERE extname <> 'plpgsql'),
       pg_database_size(d.oid), shobj_description(d.oid, 'pg_database')
  FROM pg_database d WHERE d.datname = current_database()"""
LARGE_OBJECTS = "SELECT pg_table_size('pg_largeobject')"
SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"

# to_jsonb: the columns that say the locale have changed their names twice.
CREATE = """
SELECT format('TEMPLATE template0 ENCODING %L', pg_encoding_to_char(d.encoding))
    || CASE to_jsonb(d) ->> 'datlocprovider'
         WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L',
                              coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))
         WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', to_jsonb(d) ->> 'datlocale')
         ELSE '' END
    || format(' LC_COLLATE %L LC_CTYPE %L', d.datcollate, d.datctype)
    || CASE WHEN t.spcname <> 'pg_default' THEN format(' TABLESPACE %I', t.spcname) ELSE '' END
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()"""

# As pg_dump writes them: a name with a dot is one name, and a list of names one string for each.
SETTINGS = r"""
WITH d AS (SELECT * FROM pg_database WHERE datname = current_database()),
 setting AS (SELECT s.setrole, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
               FROM d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) c)
SELECT 1, format('ALTER DATABASE {database} OWNER TO %I', pg_get_userbyid(datdba)) FROM d
UNION ALL SELECT 1, format('ALTER DATABASE {database} CONNECTION LIMIT %s', datconnlimit) FROM d
UNION ALL SELECT 1, 'ALTER DATABASE {database} IS_TEMPLATE true' FROM d WHERE datistemplate
UNION ALL SELECT 2, 'REVOKE ALL ON DATABASE {database} FROM PUBLIC' FROM d WHERE datacl IS NOT NULL
UNION ALL
SELECT 3, format('GRANT %s ON DATABASE {database} TO %s%s', a.privilege_type,
                 CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                 CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM d, aclexplode(d.datacl) a
UNION ALL
SELECT 4, CASE WHEN setrole = 0 THEN 'ALTER DATABASE {database}'
               ELSE format('ALTER ROLE %I IN DATABASE {database}', pg_get_userbyid(setrole)) END
       || format(' SET %I TO %s', name,
            CASE WHEN name IN ('search_path', 'local_preload_libraries', 'session_preload_libraries',
                               'temp_tablespaces') AND value <> ''
                 THEN (SELECT string_agg(quote_literal(coalesce(replace(m[1], '""', '"'), m[2])), ', ' ORDER BY n)
                         FROM regexp_matches(value, '"((?:[^"]|"")*)"|([^,\s]+)', 'g') WITH ORDINALITY found (m, n))
                 ELSE quote_literal(value) END)
  FROM setting WHERE name <> 'timescaledb.restoring'
ORDER BY 1, 2"""

ROLES = """
SELECT coalesce(array_agg(DISTINCT r.rolname::text ORDER BY r.rolname::text), '{}')
  FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
   AND (s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     OR s.classid = 'pg_database'::regclass
        AND s.objid = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


@dataclass(frozen=True, slots=True)
class Source:
    """The database at the moment of the snapshot."""

    database: str
    server: int
    lsn: str
    at: str
    extensions: Mapping[str, str]
    system: str
    create: str
    settings: tuple[str, ...]
    roles: tuple[str, ...]
    tables: tuple[Table, ...]
    database_bytes: int
    comment: str | None
    large_objects_bytes: int
    missing: tuple[Missing, ...]
    """What only the catalog knows of compressed rows."""

    def limited(self, only: tuple[str, ...]) -> Source:
        """With these tables' rows alone; with all when none is named."""
        return replace(self, tables=tuple(each for each in self.tables if not only or each.pattern in only))

    @property
    def size_bytes(self) -> int:
        """Of all rows on disk: what progress is measured against."""
        return sum(each.size_bytes for each in self.tables)


def look(conn: Connection) -> Source:
    """All of it, in the transaction that is open."""
    about = conn.execute(ABOUT).fetchone()
    assert about is not None, "the database that is connected to is in pg_database"
    system = system_identifier(conn)
    tables = tables_of(conn)
    [create] = conn.execute(CREATE).fetchone() or ("",)
    settings = tuple(row[1] for row in conn.execute(SETTINGS))
    [roles] = conn.execute(ROLES).fetchone() or ([],)
    database, server, lsn, at, extensions, size, comment = about
    [large] = conn.execute(LARGE_OBJECTS).fetchone() or (0,)
    absent = tuple(missing(conn)) if "timescaledb" in extensions else ()
    return Source(
        database,
        server,
        lsn,
        at,
        extensions,
        system,
        create,
        settings,
        tuple(roles),
        tables,
        size,
        comment,
        large,
        absent,
    )


def tables_of(conn: Connection) -> tuple[Table, ...]:
    """Those with rows, the largest first."""
    return tuple(
        Table(schema, name, size, tuple(columns or ()), *more)
        for schema, name, size, columns, *more in conn.execute(TABLES)
    )


def system_identifier(conn: Connection) -> str:
    """Which cluster it is, by pg_control; empty when the role may not ask."""
    from psycopg import errors

    try:
        with conn.transaction():
            return str((conn.execute(SYSTEM).fetchone() or ("",))[0])
    except errors.InsufficientPrivilege:
        return ""


def system_of(server: Server) -> str:
    """The same of a server, whether or not its live database is there."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        return system_identifier(conn)


def streams(tables: tuple[Table, ...], jobs: int) -> list[Stream]:
    """How rows are dumped, the heaviest first: big tables alone, so that all cores have work to the end.

    Small ones are left out: they go with the rest.
    """
    total = sum(each.size_bytes for each in tables)
    share = min(max(MIXED_GROUP_BYTES, total // (8 * jobs)), STREAM_BYTES)
    groups: list[list[Table]] = []
    room = 0
    for each in tables:  # largest first
        if each.size_bytes < share // 64:
            break
        if each.size_bytes > room:
            groups.append([])
            room = share
        groups[-1].append(each)
        room -= each.size_bytes
    return [part for each in groups for part in parts(Stream(tuple(each)), total, jobs)]


def parts(stream: Stream, total_bytes: int, jobs: int) -> list[Stream]:
    """A table whose rows would be loaded longer than all others are loaded and indexed, or that is very large, in
    parts; else the stream."""
    table, size = stream.tables[0], stream.size_bytes
    outlasts = size * (jobs - 1) > (total_bytes - size) * LOADED_AND_INDEXED
    helpful = -(-size // max(PART_BYTES, total_bytes // (2 * jobs))) if outlasts else 1
    count = max(helpful, -(-size // OBJECT_BYTES))
    if count < 2 or not (stream.columns and table.pages):
        return [stream]
    ends = [table.pages * number // count for number in range(count)]
    since = [f"ctid >= '({end},0)'" for end in ends]
    until = [*(f" AND ctid < '({end},0)'" for end in ends[1:]), ""]  # it may have grown meanwhile
    return [Stream(stream.tables, a + b) for a, b in zip(since, until, strict=True)]
