"""Read the schema of a live database into a Snapshot: a few queries, whatever the number of objects."""

# ruff: noqa: E501 - rows of a SQL query read better whole

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg.pq import TransactionStatus

from tidelock.core.snapshot import Snapshot, reference
from tidelock.core.viewtext import unqualified
from tidelock.postgres import privileges, sections, timescale
from tidelock.postgres.ledger import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from tidelock.core.snapshot import Attributes, Key

    Connection = psycopg.Connection[tuple[object, ...]]
    Address = tuple[int, int, int]
    """Class, oid and column number, as in pg_depend."""

# Everything prints with its schema, and in one form whatever the database or role has set.
PLAINLY: LiteralString = """
SET LOCAL search_path = ''; SET LOCAL quote_all_identifiers = off; SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex'; SET LOCAL standard_conforming_strings = on; SET LOCAL statement_timeout = 0"""

WITH_TIMESCALE: LiteralString = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"

# The columns of all sections, with their types.
NO_ROW: LiteralString = "SELECT ''::text, ''::text, 0::oid, 0::oid, 0, '{}'::jsonb, '{}'::jsonb WHERE false"

CLASSES: LiteralString = """
SELECT name, format('pg_catalog.%I', name)::regclass::oid FROM unnest(ARRAY['pg_class', 'pg_type', 'pg_constraint', 'pg_rewrite',
       'pg_attrdef', 'pg_extension', 'pg_database']) name"""

# Other addresses of the same objects: a view's rule, a default, a table's row type, an array of a type, an index that
# belongs to a constraint, a sequence of an identity column; and what an extension made, which is the extension's.
ALIASES: LiteralString = """
SELECT 'pg_rewrite'::regclass::oid, r.oid, 'pg_class'::regclass::oid, r.ev_class, 0 FROM pg_rewrite r
 WHERE r.ev_class = ANY ({relations}) AND r.rulename = '_RETURN'
UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, 'pg_class'::regclass, d.adrelid, d.adnum FROM pg_attrdef d
 WHERE d.adrelid = ANY ({relations})
UNION ALL SELECT 'pg_type'::regclass, t.oid, 'pg_class'::regclass, t.typrelid, 0 FROM pg_type t
            JOIN pg_class c ON c.oid = t.typrelid WHERE t.typrelid = ANY ({relations}) AND c.relkind <> 'c'
UNION ALL SELECT 'pg_class'::regclass, c.oid, 'pg_type'::regclass, c.reltype, 0 FROM pg_class c
 WHERE c.oid = ANY ({relations}) AND c.relkind = 'c'
UNION ALL SELECT 'pg_type'::regclass, t.typarray, 'pg_type'::regclass, t.oid, 0 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE t.typarray <> 0 AND {ours}
UNION ALL SELECT 'pg_type'::regclass, r.rngmultitypid, 'pg_type'::regclass, r.rngtypid, 0 FROM pg_range r
UNION ALL SELECT 'pg_class'::regclass, k.conindid, 'pg_constraint'::regclass, k.oid, 0 FROM pg_constraint k
 WHERE k.conrelid = ANY ({relations}) AND k.contype IN ('p', 'u', 'x')
UNION ALL SELECT 'pg_class'::regclass, d.objid, 'pg_class'::regclass, d.refobjid, d.refobjsubid FROM pg_depend d
 WHERE d.deptype = 'i' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
   AND d.objid = ANY ({relations}) AND d.refobjsubid > 0
UNION ALL SELECT d.classid, d.objid, d.refclassid, d.refobjid, 0 FROM pg_depend d WHERE d.deptype = 'e'"""

# What lies below the first user oid is PostgreSQL's own, and nothing that has to be made.
DEPENDENCIES: LiteralString = """
SELECT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid, d.deptype::text FROM pg_depend d
 WHERE d.deptype <> 'e' AND (d.refobjid >= 16384 OR d.refclassid = 'pg_namespace'::regclass) {within}"""

COMMENTS: LiteralString = """
SELECT d.classoid, d.objoid, d.objsubid, d.description,
       (SELECT format('%I', a.attname) FROM pg_attribute a WHERE a.attrelid = d.objoid AND a.attnum = d.objsubid
          AND d.classoid = 'pg_class'::regclass),
       (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conindid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.conindid = d.objoid AND k.contype IN ('p', 'u', 'x') AND d.classoid = 'pg_class'::regclass)
  FROM pg_description d WHERE d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass"""

# Kept only where they differ from what every new database has.
USUAL_COMMENTS = {("schema", "public"): "standard public schema"}


def take(conn: Connection, *, owner: str | None = None) -> Snapshot:
    """The schema of the database, without what extensions, TimescaleDB's internals and Tidelock itself keep there.

    `owner` is the role that migrations create objects as; without it, the role of the session. Only reads, in a
    transaction of its own or in the one that is open.
    """
    if conn.info.transaction_status is TransactionStatus.IDLE:
        with conn.transaction(force_rollback=True):
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return read(conn, owner)
    with conn.transaction(force_rollback=True):  # a savepoint, so that settings of ours end with it
        return read(conn, owner)


def read(conn: Connection, owner: str | None) -> Snapshot:
    """Every section, then what depends on what."""
    user = owner or str(one(conn, "SELECT current_user"))
    conn.execute(PLAINLY)
    reading = Reading(conn, user)
    reading.look()
    reading.relate()
    reading.describe()
    return Snapshot(reading.objects)


class Reading:
    """What is found while a database is read: objects, and under which addresses the catalog knows them."""

    def __init__(self, conn: Connection, owner: str) -> None:
        self.conn, self.owner = conn, owner
        self.objects: dict[Key, Attributes] = {}
        self.names: dict[Address, Key] = {}
        self.wholes: list[tuple[Key, list[Address]]] = []
        self.version = conn.info.server_version
        self.timescale = bool(one(conn, WITH_TIMESCALE))
        hypertables = sections.HYPERTABLES if self.timescale else "WHERE false"
        oids = [str(row[0]) for row in conn.execute(sections.RELATIONS.replace("{hypertables}", hypertables).encode())]
        self.relations = f"'{{{','.join(sorted(oids, key=int))}}}'::oid[]"
        self.classes: dict[str, int] = {str(name): int(str(oid)) for name, oid in conn.execute(CLASSES.encode())}
        self.names[self.classes["pg_database"], int(str(one(conn, DATABASE_OID))), 0] = privileges.DATABASE

    def sections(self) -> Iterable[str]:
        """The queries for this server."""
        yield from sections.SECTIONS
        if self.timescale:
            yield from timescale.SECTIONS

    def look(self) -> None:
        """All sections, as one query: an answer has its price, and there are two dozen of them."""
        self.add(self.rows(" UNION ALL ".join([NO_ROW, *(f"({each})" for each in self.sections())])))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to a query with its placeholders filled in."""
        query = re.sub(
            r"\{unowned:(\w+):([\w.]+)\}",
            lambda found: sections.UNOWNED.format(table=found[1], oid=found[2]),
            query.replace("{aggregates}", timescale.NOT_AGGREGATES if self.timescale else ""),
        )
        for name, text in self.fillings().items():
            query = query.replace(f"{{{name}}}", text)
        return self.conn.execute(query.encode()).fetchall()

    def fillings(self) -> dict[str, str]:
        """Placeholder → SQL."""
        newer = self.version >= 150000
        return {
            "relations": self.relations,
            "ours": sections.OURS,
            "owner": literal(self.owner),
            "schemas": sections.PUBLISHED_SCHEMAS if newer else "NULL::jsonb",
            "table": sections.PUBLISHED_TABLE if newer else "'{}'::jsonb",
        }

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Objects of one section."""
        for kind, name, class_, oid, number, attributes, wholes in rows:
            key = (kind, name)
            self.objects[key] = {each: value for each, value in attributes.items() if value is not None}
            if oid:
                self.names[class_, oid, number] = key
            if wholes:
                self.wholes.append((key, [(int(one), int(other), int(sub)) for one, other, sub in wholes]))
            normalise(self.objects[key], kind)

    def relate(self) -> None:
        """What each object needs, and what it is part of."""
        self.alias(self.rows(ALIASES))
        if self.timescale:
            self.alias(self.rows(timescale.by_names(timescale.ALIASES)))
        links: dict[Key, dict[str, set[str]]] = {}
        for key, wholes in self.wholes:
            for address in wholes:
                if (whole := self.named(address)) is not None:
                    links.setdefault(key, {}).setdefault("part_of", set()).add(reference(whole))
        for key, other, kind in self.dependencies():
            found = links.setdefault(key, {})
            found.setdefault("needs", set()).add(reference(other))
            if (kind in "aiPS" or other[0] == "schema") and not (key[0] == "column" and other[0] != "column"):
                found.setdefault("part_of", set()).add(reference(other))
        for key, found in links.items():
            self.objects[key] |= {name: sorted(values) for name, values in found.items()}

    def alias(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Further addresses; of what is not known itself, none. Twice: an alias may lead to another."""
        pairs = [((row[0], row[1], 0), (row[2], row[3], row[4])) for row in rows]
        for _ in range(2):
            for other, address in pairs:
                if other not in self.names and (key := self.names.get(address)) is not None:
                    self.names[other] = key

    def named(self, address: tuple[int, ...]) -> Key | None:
        """The object at an address; a view's column is the view."""
        return self.names.get((address[0], address[1], address[2])) or self.names.get((address[0], address[1], 0))

    def dependencies(self) -> Iterator[tuple[Key, Key, str]]:
        """(object, what it depends on, how), both being objects of the snapshot."""
        within = "" if not self.timescale else timescale.WITHIN
        for row in self.rows(DEPENDENCIES.replace("{within}", within)):
            key, other = self.named(row[:3]), self.named(row[3:6])
            if key is None or other is None or key == other or key not in self.objects or other not in self.objects:
                continue
            if key[0] == "extension" or (key[0], other[0]) in (("table", "column"), ("column", "schema")):
                continue
            yield key, other, row[6]

    def describe(self) -> None:
        """Comments and privileges, which hang on everything else."""
        for class_, oid, number, text, column, index in self.rows(COMMENTS):
            whole = self.names.get((class_, oid, number))
            if whole is None and column is not None and (view := self.names.get((class_, oid, 0))) is not None:
                self.objects["comment", f"column {view[1]}.{column}"] = {
                    "text": text,
                    "on": "column",
                    "object": f"{view[1]}.{column}",
                    "part_of": [reference(view)],
                }
            elif (
                whole is not None
                and whole in self.objects
                and whole[0] != "extension"
                and USUAL_COMMENTS.get(whole) != text
            ):
                # a constraint and the index below it are one object, with a comment each
                kind, name = ("index", index) if index else whole
                self.objects["comment", f"{kind} {name}"] = {
                    "text": text,
                    "on": kind,
                    "object": name,
                    "part_of": [reference(whole)],
                }
        known = {address: key for address, key in self.names.items() if key[0] != "extension"}
        self.objects.update(privileges.grants(self.rows(privileges.ACCESS), known))
        self.objects.update(privileges.default_privileges(self.rows(privileges.DEFAULTS)))


DATABASE_OID: LiteralString = "SELECT oid FROM pg_database WHERE datname = current_database()"


def normalise(attributes: Attributes, kind: str) -> None:
    """What servers of other versions print otherwise, in one form."""
    if kind in ("view", "materialized view", "continuous aggregate"):
        attributes["definition"] = unqualified(attributes["definition"])


def one(conn: Connection, query: str) -> object:
    """The only cell of an answer."""
    row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None
