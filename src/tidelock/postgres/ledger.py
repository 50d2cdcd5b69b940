"""Which tables the ledger and what lies beside it are, and their shape: `tables` makes them, `records` fills them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, LiteralString, NoReturn, TypedDict

from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Ask = Callable[[str], Any]
    """A query that returns one cell of JSON → its value. Through psycopg or, for a first look, through libpq alone."""

FORMAT = 1
"""Version of the three tables; `schema/NNN_*.sql` brings them there."""

NAME = "schema_migrations"
OWN_SCHEMA = "tidelock"
LONGEST = 63
"""Bytes of a name that PostgreSQL keeps."""
INTEGERS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


MADE = {
    "applied_at": "timestamptz DEFAULT now()",
    "sha256": "text",
    "tokens": "text",
    "tokens_version": "integer",
    "content": "bytea",
    "path": "text",
    "git_commit": "text",
    "applied_by": "text",
    "run_id": "text",
    "duration_ms": "bigint",
    "backup": "text",
}
"""Columns that `schema/001_ledger.sql` adds where another hand made the table, and their types."""


ANOTHER = (
    'name another one: `[ledger] table = "tidelock.schema_migrations"` in tidelock.toml, and before the first apply '
    "record there what has run already: `tidelock adopt --up-to N`"
)


class LedgerNewer(LedgerFault):
    """A newer Tidelock has upgraded the ledger."""

    code = "L010"

    def __init__(self, table: str, format_: int) -> None:
        super().__init__(
            f"the ledger {table} has format {format_}, this Tidelock knows {FORMAT}",
            hint="use the newer Tidelock that upgraded it (`tidelock --version`; the image's tag in the Job)",
        )


class LedgerUnfit(LedgerFault):
    """A table of the ledger's name that cannot serve as one."""

    code = "L011"

    def __init__(self, table: str, why: str, hint: str = "", detail: str = "") -> None:
        super().__init__(
            f"{table} cannot be the ledger: {why}",
            hint=hint or f"mend the table, or {ANOTHER}",
            detail=detail,
        )


class LedgerElsewhere(LedgerFault):
    """A ledger lies in a schema that this connection's search_path does not lead to, or the path leads nowhere."""

    code = "L012"

    def __init__(self, schemas: Sequence[str], current: str | None) -> None:
        if found := " and ".join(f"{schema}.{NAME}" for schema in schemas):
            super().__init__(
                f"this database has the ledger {found}, and the search_path leads to {current or 'no schema'}",
                hint=f'name the one that is meant: `[ledger] table = "{schemas[0]}.{NAME}"` in tidelock.toml'
                + (f'; or, to begin a new one, `"{current}.{NAME}"`' if current and current not in schemas else ""),
            )
        else:
            super().__init__(
                "the search_path leads to no schema that this role may use, so there is no place for the ledger",
                hint='name one: `[ledger] table = "schema.schema_migrations"` in tidelock.toml; or as administrator: '
                "ALTER ROLE … SET search_path = schema, GRANT USAGE, CREATE ON SCHEMA schema TO …",
            )


def quoted(name: str) -> str:
    """An identifier as SQL. For names of our own tables; psycopg's `sql.Identifier` would bring all of psycopg."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bytes | None) -> str:
    """A value as SQL, safe whatever standard_conforming_strings says."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"E'\\\\x{value.hex()}'::bytea"
    if isinstance(value, (int, float)):
        return str(value)
    doubled = value.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in value else f"'{doubled}'"


@dataclass(frozen=True)
class Ledger:
    """The names of the three tables and the shape of the first. `columns` is empty while there is none."""

    schema: str
    table: str
    columns: Mapping[str, str]
    """Column → type, as PostgreSQL prints it."""
    format: int = 0
    """0: not made, or made by another hand."""

    @property
    def name(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.table}"

    @property
    def exists(self) -> bool:
        """The first table is there."""
        return bool(self.columns)

    @property
    def description(self) -> str:
        """The column with the words: `description`, or `name` as some have it."""
        return "name" if "name" in self.columns and "description" not in self.columns else "description"

    @cached_property
    def identifiers(self) -> dict[str, str]:
        """The names, quoted, for templates."""
        schema = quoted(self.schema)
        return {
            "ledger": f"{schema}.{quoted(self.table)}",
            "journal": f"{schema}.{quoted(self.table + '_journal')}",
            "journal_index": quoted(f"{self.table}_journal_version"),
            "lease": f"{schema}.{quoted(self.table + '_lease')}",
            "description": quoted(self.description),
            "schema": schema,
        }

    def fill(self, template: LiteralString) -> str:
        """A template with the names in it, made once. `%` stays for values; see `literal`."""
        if template not in self._filled:
            self._filled[template] = template.format_map(self.identifiers)
        return self._filled[template]

    @cached_property
    def _filled(self) -> dict[str, str]:
        return {}


# --- which table it is -----------------------------------------------------------------------------------------

LOOK = r"""
SELECT json_build_object('current', current_schema(), 'tables', coalesce((
  SELECT json_agg(json_build_object(
           'schema', n.nspname,
           'columns', (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
           'visible', c.oid = to_regclass({wanted}),
           'kind', c.relkind,
           'unlogged', c.relpersistence = 'u',
           'hidden', row_security_active(c.oid),
           'rules', (SELECT string_agg(r.rulename, ', ') FROM pg_rewrite r
                      WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3')),
           'filled', c.oid IS DISTINCT FROM to_regclass({wanted}) AND pg_relation_size(c.oid) > 0,
           'odd', (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL))
                     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                    WHERE a.attrelid = c.oid AND a.attnum > 0
                      AND CASE WHEN a.attname IN ({words}) THEN t.typcategory <> 'S'
                               WHEN a.attname IN ({numbers}) THEN t.typcategory <> 'N'
                               WHEN a.attname = 'content' THEN t.typname <> 'bytea'
                               WHEN a.attname = 'applied_at' THEN t.typcategory NOT IN ('D', 'S') END),
           'computed', EXISTS (SELECT FROM pg_attribute a
                                WHERE a.attrelid = c.oid AND a.attname = 'version'
                                  AND (a.attidentity = 'a' OR a.attgenerated <> '')),
           'journal', EXISTS (SELECT FROM pg_class j
                               WHERE j.relnamespace = c.relnamespace AND j.relname = c.relname || '_journal'),
           'ours', c.relkind IN ('r', 'p') AND EXISTS (
              SELECT FROM pg_class l WHERE l.relnamespace = c.relnamespace AND l.relname = c.relname || '_lease')))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relname = {table} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT LIKE 'pg\_%'), '[]'))"""


KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
"""What may have the ledger's name and is no table."""


class Found(TypedDict):
    """What has the ledger's name, as LOOK tells of it."""

    schema: str
    columns: dict[str, str]
    """Column → type."""
    visible: bool
    """The search_path leads to it."""
    kind: str
    """pg_class.relkind."""
    unlogged: bool
    """A crash of the server empties it."""
    hidden: bool
    """Row level security applies to who asks."""
    rules: str | None
    """Names of those ON INSERT and ON UPDATE: INSERT … ON CONFLICT is refused then."""
    filled: bool
    """The search_path does not lead to it, and it has rows, or had some."""
    odd: dict[str, str] | None
    """Column of a name that Tidelock uses → its type, where that cannot take what Tidelock writes."""
    computed: bool
    """The server alone writes its column version."""
    journal: bool
    """It has a journal beside it."""
    ours: bool
    """It has a lease beside it."""


def listed(names: Iterable[str]) -> str:
    """Names as a list of SQL literals."""
    return ", ".join(map(literal, names))


WORDS = listed(["description", *(name for name, kind in MADE.items() if kind == "text")])
NUMBERS = listed(name for name, kind in MADE.items() if kind in INTEGERS)


def find(ask: Ask, configured: str | None) -> Ledger:
    """The ledger of this database, or where it will be. Raises a LedgerFault rather than guess."""
    schema, _, table = (configured or "").rpartition(".")
    table = table or NAME
    wanted = ".".join(quoted(each) for each in (schema, table) if each)
    seen = ask(LOOK.format(wanted=literal(wanted), table=literal(table), words=WORDS, numbers=NUMBERS))
    current: str | None = seen["current"]
    tables: dict[str, Found] = {each["schema"]: each for each in seen["tables"]}
    visible = next((each for each in tables.values() if each["visible"]), None)
    if configured:
        place = schema or (visible["schema"] if visible else current)
        if not place:
            raise LedgerElsewhere((), current)
        refuse_name(place, table)
        return shape(place, table, tables.get(place))
    if OWN_SCHEMA in tables and tables[OWN_SCHEMA]["ours"]:
        if visible is not None and visible["ours"] and visible["schema"] != OWN_SCHEMA:
            raise LedgerElsewhere([visible["schema"], OWN_SCHEMA], current)  # two of ours: which one is meant?
        return shape(OWN_SCHEMA, table, tables[OWN_SCHEMA])
    if visible is not None:
        if belongs_to_another_tool(visible["columns"]):
            return shape(OWN_SCHEMA, table, tables.get(OWN_SCHEMA))
        return shape(visible["schema"], table, visible)
    if elsewhere := sorted(name for name, each in tables.items() if each["ours"] or serves_already(each)):
        raise LedgerElsewhere(elsewhere, current)
    if not current:
        raise LedgerElsewhere((), current)
    return shape(current, table, None)


def refuse_name(schema: str, table: str) -> None:
    """Refuse a configured name that cannot be a ledger's, whatever is there."""
    if len(f"{table}_journal".encode()) > LONGEST:
        how = f"name it with at most {LONGEST - len('_journal')} bytes"
        raise LedgerUnfit(f"{schema}.{table}", f"its journal's name would be longer than {LONGEST} bytes", how)
    if schema.startswith("pg_"):
        how = "name a schema that lasts"
        raise LedgerUnfit(f"{schema}.{table}", "schemas whose names begin with pg_ are PostgreSQL's own", how)


def serves_already(found: Found) -> bool:
    """A table of another hand in which versions are kept, as the seeds have it."""
    columns = found["columns"]
    return (
        found["filled"]
        and "version" in columns
        and not columns.keys().isdisjoint({"description", "name"})
        and not belongs_to_another_tool(columns)
    )


def shape(schema: str, table: str, found: Found | None) -> Ledger:
    """A Ledger from what LOOK found; refuses a table that cannot be one."""
    if found is None:
        return Ledger(schema, table, {})
    columns, name = found["columns"], f"{schema}.{table}"
    if found["kind"] in KINDS:
        raise LedgerUnfit(name, f"it is {KINDS[found['kind']]}")
    kind = columns.get("version")
    if kind is None:
        raise LedgerUnfit(name, "it has no column version")
    if kind not in INTEGERS:
        how = (
            f"where all its values are numbers: ALTER TABLE {name} ALTER COLUMN version TYPE bigint "
            f"USING version::bigint; otherwise {ANOTHER}"
        )
        raise LedgerUnfit(name, f"its column version is {kind}, not an integer type", how)
    if found["computed"]:
        how = f"ALTER TABLE {name} ALTER COLUMN version SET GENERATED BY DEFAULT (or DROP EXPRESSION)"
        raise LedgerUnfit(name, "the server alone writes its column version (GENERATED ALWAYS)", how)
    if found["unlogged"]:
        how = f"ALTER TABLE {name} SET LOGGED"
        raise LedgerUnfit(name, "it is UNLOGGED: after a crash of the server it is empty, and all files run again", how)
    if found["hidden"]:
        how = f"as its owner: ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY"
        raise LedgerUnfit(name, "row level security hides rows of it from this role", how)
    if rules := found["rules"]:
        raise LedgerUnfit(name, f"its rules ({rules}) take rows elsewhere", f"DROP RULE {rules} ON {name}")
    if odd := found["odd"]:
        why = " and ".join(f"its column {column} is {type_}" for column, type_ in odd.items())
        raise LedgerUnfit(name, f"{why}, which cannot take what Tidelock writes there")
    ledger = Ledger(schema, table, columns, format=1 if found["ours"] and "backup" in columns else 0)
    refuse_damaged(ledger, journal=found["journal"])
    return ledger


def refuse_damaged(ledger: Ledger, *, journal: bool) -> None:
    """Refuse a ledger that Tidelock made and somebody took something from."""
    if not ledger.format:
        return
    if not journal:
        raise LedgerUnfit(
            ledger.name,
            f"its journal, {ledger.name}_journal, is gone",
            "restore it from a backup; without one, see that no run is at work or was cut off, then "
            f"DROP TABLE {ledger.name}_lease: the next `tidelock apply` makes both anew",
        )
    if lost := {name: kind for name, kind in MADE.items() if name not in ledger.columns}:
        adding = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in lost.items())
        raise LedgerUnfit(
            ledger.name,
            f"it has lost {', '.join(lost)}",
            f"restore it from a backup; without one: ALTER TABLE {ledger.name} {adding}",
        )


def refuse_no_lease(ledger: Ledger) -> NoReturn:
    """The lease table is there without its rows: who holds it cannot be known."""
    lease = f"{ledger.name}_lease"
    raise LedgerUnfit(
        ledger.name,
        f"the rows of {lease} are gone",
        f"see that no run is at work, then: INSERT INTO {lease} (part, format) "  # noqa: S608 - printed
        f"VALUES ('holder', {FORMAT}), ('pulse', {FORMAT}) ON CONFLICT DO NOTHING",
    )


def belongs_to_another_tool(columns: Mapping[str, str]) -> bool:
    """golang-migrate (version, dirty), dbmate and Rails (version as text, alone): `peers.md`, section 5."""
    return "dirty" in columns or (
        set(columns) == {"version"} and columns["version"].startswith(("character varying", "text"))
    )
