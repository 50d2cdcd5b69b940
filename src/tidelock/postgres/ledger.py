"""The ledger and what lies beside it: which tables they are, how they are read and written. `tables` makes them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, LiteralString, NoReturn, TypedDict, cast

from tidelock.core.model import LedgerEntry, Outcome, StepRecord
from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import psycopg

    from tidelock.core.model import Migration
    from tidelock.core.statement import Script
    from tidelock.core.step import Step

    Ask = Callable[[str], Any]
    """A query that returns one cell of JSON → its value. Through psycopg or, for a first look, through libpq alone."""

FORMAT = 1
"""Version of the three tables; `schema/NNN_*.sql` brings them there."""

NAME = "schema_migrations"
OWN_SCHEMA = "tidelock"
INTEGERS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


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
            hint=hint
            or 'mend the table, or name another one: `[ledger] table = "tidelock.schema_migrations"` in tidelock.toml',
            detail=detail,
        )


class LedgerElsewhere(LedgerFault):
    """A ledger lies in a schema that this connection's search_path does not lead to, or the path leads nowhere."""

    code = "L012"

    def __init__(self, schemas: Iterable[str], current: str | None) -> None:
        if found := " and ".join(f"{schema}.{NAME}" for schema in schemas):
            super().__init__(
                f"this database has the ledger {found}, and the search_path leads to {current or 'no schema'}",
                hint='name the one that is meant: `[ledger] table = "schema.schema_migrations"` in tidelock.toml',
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
        """A template with the names in it. `%` stays for values; see `literal`."""
        return template.format_map(self.identifiers)

    @cached_property
    def record_template(self) -> str:
        """`RECORD` with names, made once: it is used for every migration."""
        return self.fill(RECORD)

    @cached_property
    def prepare_record(self) -> str:
        """SQL that prepares `RECORD` in a session of ours: planning it each time costs as much as a small migration."""
        numbers = itertools.count(1)
        body = re.sub(r"%s", lambda _: f"${next(numbers)}", self.record_template)
        return f"PREPARE {PREPARED_RECORD} ({RECORD_TYPES}) AS {body}"

    @cached_property
    def journal_template(self) -> str:
        """`JOURNAL` with names."""
        return self.fill(JOURNAL)


# --- which table it is -----------------------------------------------------------------------------------------

LOOK = r"""
SELECT json_build_object('current', current_schema(), 'tables', coalesce((
  SELECT json_agg(json_build_object(
           'schema', n.nspname,
           'columns', (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
           'visible', c.oid = to_regclass({wanted}),
           'kind', c.relkind,
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
    computed: bool
    """The server alone writes its column version."""
    journal: bool
    """It has a journal beside it."""
    ours: bool
    """It has a lease beside it."""


def find(ask: Ask, configured: str | None) -> Ledger:
    """The ledger of this database, or where it will be. Raises a LedgerFault rather than guess."""
    schema, _, table = (configured or "").rpartition(".")
    table = table or NAME
    wanted = ".".join(quoted(each) for each in (schema, table) if each)
    seen = ask(LOOK.format(wanted=literal(wanted), table=literal(table)))
    current: str | None = seen["current"]
    tables: dict[str, Found] = {each["schema"]: each for each in seen["tables"]}
    visible = next((each for each in tables.values() if each["visible"]), None)
    if configured:
        place = schema or (visible["schema"] if visible else current)
        if not place:
            raise LedgerElsewhere((), current)
        return shape(place, table, tables.get(place))
    if OWN_SCHEMA in tables and tables[OWN_SCHEMA]["ours"]:
        if visible is not None and visible["ours"] and visible["schema"] != OWN_SCHEMA:
            raise LedgerElsewhere([visible["schema"], OWN_SCHEMA], current)  # two of ours: which one is meant?
        return shape(OWN_SCHEMA, table, tables[OWN_SCHEMA])
    if visible is not None:
        if belongs_to_another_tool(visible["columns"]):
            return shape(OWN_SCHEMA, table, tables.get(OWN_SCHEMA))
        return shape(visible["schema"], table, visible)
    if elsewhere := sorted(name for name, each in tables.items() if each["ours"]):
        raise LedgerElsewhere(elsewhere, current)
    if not current:
        raise LedgerElsewhere((), current)
    return shape(current, table, None)


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
        raise LedgerUnfit(name, f"its column version is {kind}, not an integer type")
    if found["computed"]:
        how = f"ALTER TABLE {name} ALTER COLUMN version SET GENERATED BY DEFAULT (or DROP EXPRESSION)"
        raise LedgerUnfit(name, "the server alone writes its column version (GENERATED ALWAYS)", how)
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


# --- reading it ------------------------------------------------------------------------------------------------

APPLIED = "SELECT coalesce(json_agg(json_build_array({{columns}})), '[]') FROM {ledger}"
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
OWN_COLUMNS = ("applied_at", "sha256", "tokens", "tokens_version", "git_commit", "applied_by", "backup")


def applied(ask: Ask, ledger: Ledger) -> dict[int, LedgerEntry]:
    """Every migration this database knows of, by version."""
    if not ledger.exists:
        return {}
    columns = [
        quoted(name) if name in ledger.columns else "NULL" for name in ("version", ledger.description, *OWN_COLUMNS)
    ]
    rows = ask(ledger.fill(APPLIED).format(columns=", ".join(columns)))
    return {
        version: LedgerEntry(
            version=version,
            description=description or "",
            applied_at=moment(applied_at),
            checksum=sha256,
            tokens=tokens,
            tokens_version=tokens_version,
            commit=commit,
            applied_by=by,
            backup=backup,
        )
        for version, description, applied_at, sha256, tokens, tokens_version, commit, by, backup in rows
    }


def moment(text: object) -> datetime | None:
    """A timestamp as JSON has it. None for what is none: `infinity`, or another hand's column of that name."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


UNFINISHED = """
SELECT coalesce(json_agg(json_build_array(version, step, event, digest, at, run_id, statement, detail)), '[]') FROM (
  SELECT DISTINCT ON (j.version, j.step) j.version, j.step, j.event, j.digest, j.at, j.run_id, j.statement, j.detail
    FROM {journal} j
   WHERE j.event IN ('started', 'done', 'failed', 'retry') AND j.step IS NOT NULL
     AND NOT EXISTS (SELECT FROM {ledger} l WHERE l.version = j.version)
   ORDER BY j.version, j.step, j.id DESC) last"""


def unfinished(ask: Ask, ledger: Ledger) -> dict[int, tuple[StepRecord, ...]]:
    """The journal's last word on each step of versions that are not in the ledger."""
    if ledger.format == 0:
        return {}
    found: dict[int, list[StepRecord]] = {}
    for version, step, event, digest, at, run_id, statement, detail in ask(ledger.fill(UNFINISHED)):
        known = detail or {}
        found.setdefault(version, []).append(
            StepRecord(
                version=version,
                step=step,
                outcome=Outcome(event),
                digest=digest or "",
                at=moment(at),
                run_id=run_id,
                statement=statement or "",
                evidence=known.get("evidence", {}),
                variables=known.get("variables", {}),
            )
        )
    return {version: tuple(records) for version, records in found.items()}


def stored_text(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, version: int) -> str | None:
    """The text that was applied as this version; None when it was not kept, or is no longer what was kept."""
    if "content" not in ledger.columns:
        return None
    row = conn.execute(ledger.fill("SELECT content FROM {ledger} WHERE version = %s").encode(), (version,)).fetchone()
    try:
        return zlib.decompress(cast("bytes", row[0])).decode() if row and row[0] is not None else None
    except (zlib.error, UnicodeDecodeError):
        return None


BESIDE = """
SELECT detail -> 'beside' FROM {journal}
 WHERE version = %s AND event IN ('applied', 'adopted', 'renumbered') ORDER BY id DESC LIMIT 1"""


def beside(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, version: int) -> Mapping[str, str]:
    """The `Script.beside` of what was applied as this version; empty where that was not recorded."""
    row = conn.execute(ledger.fill(BESIDE).encode(), (version,)).fetchone() if ledger.format else None
    return cast("dict[str, str]", row[0]) if row and row[0] else {}


# --- writing it ------------------------------------------------------------------------------------------------

# The row of a migration and its line in the journal, in one statement. A row that the file itself wrote is completed,
# and its own words are kept. Times are the server's: now() is the start of the transaction. A row that a trigger
# swallowed fails it: the journal has no line without a run.
RECORD = """
WITH written AS (
  INSERT INTO {ledger} AS l (version, {description}, sha256, tokens, tokens_version, content, path, git_commit,
                             applied_by, run_id, backup, duration_ms)
  VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
          %s + (extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::bigint)
  ON CONFLICT (version) DO UPDATE SET
    {description} = coalesce(l.{description}, excluded.{description}), sha256 = excluded.sha256,
    tokens = excluded.tokens, tokens_version = excluded.tokens_version, content = excluded.content,
    path = excluded.path, git_commit = excluded.git_commit, applied_by = excluded.applied_by,
    run_id = excluded.run_id, backup = excluded.backup, duration_ms = excluded.duration_ms
  RETURNING l.version, l.run_id, l.duration_ms)
INSERT INTO {journal} (run_id, event, version, step, digest, duration_ms, lock_wait_ms, detail)
SELECT run_id, %s, version, %s, %s, duration_ms, %s, %s::jsonb FROM (SELECT) AS one LEFT JOIN written ON true
RETURNING extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now())"""

JOURNAL = """
INSERT INTO {journal} (run_id, event, version, step, digest, statement, duration_ms, lock_wait_ms, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who runs, and from what: the same for every row of a run."""

    run_id: str
    who: str
    commit: str | None = None
    backup: str | None = None
    """The backup that precedes the run."""


PREPARED_RECORD = "tidelock_record"
RECORD_TYPES = (
    "bigint, text, text, text, integer, bytea, text, text, text, text, text, bigint, text, integer, text, bigint, text"
)


def record(
    ledger: Ledger,
    migration: Migration,
    script: Script,
    step: Step | None,
    author: Author,
    *,
    event: str = "applied",
    earlier_ms: int = 0,
    lock_wait_ms: int = 0,
    prepared: bool = False,
) -> str:
    """SQL that writes a migration's ledger row and its line in the journal.

    `prepared` says that the session has run `Ledger.prepare_record`.
    """
    from tidelock.core.script import TOKENS_VERSION

    values = (
        migration.version,
        migration.description.replace("_", " "),
        migration.checksum,
        script.tokens,
        TOKENS_VERSION,
        zlib.compress(migration.text.encode(), 6),
        migration.path,
        author.commit,
        author.who,
        author.run_id,
        author.backup,
        earlier_ms,
        event,
        step.number if step else None,
        step.digest if step else None,
        lock_wait_ms,
        json.dumps({"beside": dict(script.beside)}) if script.beside else None,
    )
    literals = tuple(map(literal, values))
    return f"EXECUTE {PREPARED_RECORD} ({', '.join(literals)})" if prepared else ledger.record_template % literals


def journal(
    ledger: Ledger,
    author: Author,
    event: str,
    *,
    version: int | None = None,
    step: Step | None = None,
    statement: str | None = None,
    duration_ms: int | None = None,
    lock_wait_ms: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> str:
    """SQL that appends one line to the journal."""
    values = (
        author.run_id,
        event,
        version,
        step.number if step else None,
        step.digest if step else None,
        statement[:2000].replace("\0", "") if statement else None,
        duration_ms,
        lock_wait_ms,
        json.dumps(detail, default=str, ensure_ascii=False) if detail else None,
    )
    return ledger.journal_template % tuple(map(literal, values))


NOTED = "SELECT coalesce(version, 0), run_id, coalesce(detail, '{{}}') FROM {journal} WHERE event = %s ORDER BY id"


def noted(
    conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, event: str
) -> list[tuple[int, str, dict[str, Any]]]:
    """(version, run, detail) of the journal's lines with this event, oldest first."""
    if not ledger.format:
        return []
    return cast("list[tuple[int, str, dict[str, Any]]]", conn.execute(ledger.fill(NOTED).encode(), (event,)).fetchall())


MOVE = "UPDATE {ledger} SET version = -%s, sha256 = %s, path = %s WHERE version = %s"
MOVED = "UPDATE {ledger} SET version = -version WHERE version < 0"


def moves(ledger: Ledger, author: Author, files: Mapping[int, Migration]) -> list[str]:
    """SQL that gives rows their new versions, by way of negative ones: two may change places."""
    move = ledger.fill(MOVE)
    return [
        *(move % (new.version, literal(new.checksum), literal(new.path), old) for old, new in files.items()),
        ledger.fill(MOVED),
        *(
            journal(ledger, author, "renumbered", version=new.version, detail={"was": old})
            for old, new in files.items()
        ),
    ]


# Fails the transaction unless nobody else's row was touched: the file may write its own version's row, no other.
ONLY_OWN_ROW = """
SELECT CASE WHEN pg_catalog.encode(pg_catalog.sha256(coalesce(pg_catalog.string_agg(
              version::text, ',' ORDER BY version), '')::bytea), 'hex') = %s
            THEN 1 ELSE ('tidelock: foreign ledger rows ' || pg_catalog.count(*))::int END
  FROM {ledger} WHERE version <> %s"""
FOREIGN_ROWS = "tidelock: foreign ledger rows"


def only_own_row(ledger: Ledger, version: int, known: Collection[int]) -> str:
    """SQL that fails when the file wrote, deleted or renumbered a row of another version; `known` were there."""
    others = ",".join(str(each) for each in sorted(known) if each != version)
    return ledger.fill(ONLY_OWN_ROW) % (literal(hashlib.sha256(others.encode()).hexdigest()), version)


VERSIONS = "SELECT coalesce(pg_catalog.array_agg(version ORDER BY version), '{{}}') FROM {ledger}"


def versions(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger) -> list[int]:
    """The versions that the ledger has now, in order."""
    row = conn.execute(ledger.fill(VERSIONS).encode()).fetchone()
    return cast("list[int]", row[0]) if row else []
