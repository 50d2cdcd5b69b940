"""The tables that Tidelock keeps in the database: which ones they are, how they are made, read and written."""

from __future__ import annotations

import itertools
import json
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, LiteralString, cast

import psycopg
from psycopg import sql

from tidelock.core.model import LedgerEntry, Outcome, StepRecord
from tidelock.errors import DatabaseFault, LedgerFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidelock.core.model import Migration, Script, Step

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

    def __init__(self, table: str, why: str) -> None:
        super().__init__(
            f"{table} cannot be the ledger: {why}",
            hint="mend the table, or name another one: "
            '`[ledger] table = "tidelock.schema_migrations"` in tidelock.toml',
        )


class LedgerElsewhere(LedgerFault):
    """A ledger lies in a schema that this connection's search_path does not lead to."""

    code = "L012"

    def __init__(self, schemas: Iterable[str], current: str | None) -> None:
        found = ", ".join(f"{schema}.{NAME}" for schema in schemas)
        super().__init__(
            f"this database has a ledger, {found}, and the search_path leads to {current or 'no schema'}",
            hint='name the one that is meant: `[ledger] table = "schema.schema_migrations"` in tidelock.toml',
        )


class NoSchema(DatabaseFault):
    """The search_path leads nowhere, or to where nothing may be created."""

    code = "D004"

    def __init__(self, why: str, user: str, schema: str) -> None:
        super().__init__(
            f"the ledger cannot be made: {why}",
            hint=f'as the schema\'s owner: GRANT CREATE ON SCHEMA "{schema}" TO "{user}"; or name another place: '
            '`[ledger] table = "tidelock.schema_migrations"`',
        )


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
    def identifiers(self) -> dict[str, sql.Identifier]:
        """The names, quoted, for templates."""
        return {
            "ledger": sql.Identifier(self.schema, self.table),
            "journal": sql.Identifier(self.schema, f"{self.table}_journal"),
            "journal_index": sql.Identifier(f"{self.table}_journal_version"),
            "lease": sql.Identifier(self.schema, f"{self.table}_lease"),
            "description": sql.Identifier(self.description),
            "schema": sql.Identifier(self.schema),
        }

    def fill(self, template: LiteralString) -> str:
        """A template with the names in it. `%%` stays for values; see `literal`."""
        return sql.SQL(template).format(**self.identifiers).as_string()

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

LOOK = """
SELECT n.nspname, c.relname,
       (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       c.oid = to_regclass(%(wanted)s) AS visible,
       EXISTS (SELECT FROM pg_class l
                WHERE l.relnamespace = c.relnamespace AND l.relname = c.relname || '_lease') AS ours,
       current_schema()
  FROM (SELECT 1) one LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
    ON c.relname = %(table)s AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%'
"""


Row = tuple[str, str, dict[str, str], bool, bool, str]
"""Of LOOK: schema (NULL when there is no such table at all), table, columns, visible, ours, current schema."""


def find(conn: psycopg.Connection[tuple[object, ...]], configured: str | None) -> Ledger:
    """The ledger of this database, or where it will be. Raises a LedgerFault rather than guess."""
    schema, _, table = (configured or "").rpartition(".")
    table = table or NAME
    wanted = sql.Identifier(*([schema] if schema else []), table).as_string(conn)
    rows = cast(
        "list[Row]",
        conn.execute(LOOK, {"wanted": wanted, "table": table}).fetchall(),
    )
    current = rows[0][5]
    tables = {row[0]: row for row in rows if row[0]}
    if configured:
        place = schema or next((name for name, row in tables.items() if row[3]), current)
        if not place:
            raise LedgerElsewhere((), current)
        return shape(place, table, tables.get(place))
    visible = next((row for row in tables.values() if row[3]), None)
    if OWN_SCHEMA in tables and tables[OWN_SCHEMA][4]:
        if visible is not None and visible[4] and visible[0] != OWN_SCHEMA:
            raise LedgerElsewhere([visible[0], OWN_SCHEMA], current)  # two of ours: which one is meant?
        return shape(OWN_SCHEMA, table, tables[OWN_SCHEMA])
    if visible is not None:
        if belongs_to_another_tool(visible[2]):
            return shape(OWN_SCHEMA, table, tables.get(OWN_SCHEMA))
        return shape(visible[0], table, visible)
    if elsewhere := sorted(name for name, row in tables.items() if row[4]):
        raise LedgerElsewhere(elsewhere, current)
    if not current:
        raise LedgerElsewhere((), current)
    return shape(current, table, None)


def shape(schema: str, table: str, row: Row | None) -> Ledger:
    """A Ledger from what LOOK found; refuses a table that cannot be one."""
    if row is None:
        return Ledger(schema, table, {})
    columns = row[2]
    kind = columns.get("version")
    if kind is None:
        raise LedgerUnfit(f"{schema}.{table}", "it has no column version")
    if kind not in INTEGERS:
        raise LedgerUnfit(f"{schema}.{table}", f"its column version is {kind}, not an integer type")
    return Ledger(schema, table, columns, format=1 if row[4] and "sha256" in columns else 0)


def belongs_to_another_tool(columns: Mapping[str, str]) -> bool:
    """golang-migrate (version, dirty), dbmate and Rails (version as text, alone): `peers.md`, section 5."""
    return "dirty" in columns or (
        set(columns) == {"version"} and columns["version"].startswith(("character varying", "text"))
    )


# --- making it -------------------------------------------------------------------------------------------------

HAS_UNIQUE = """
SELECT EXISTS (SELECT FROM pg_index i
                WHERE i.indrelid = %(table)s::regclass AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1
                  AND i.indkey[0] = (SELECT attnum FROM pg_attribute
                                      WHERE attrelid = i.indrelid AND attname = 'version'))
"""


def prepare(
    conn: psycopg.Connection[tuple[object, ...]],
    ledger: Ledger,
    *,
    created_by_file: str | None,
    highest_version: int,
    user: str,
) -> Ledger:
    """Make or upgrade the three tables, in one transaction; returns the ledger as it is then.

    `created_by_file` is a CREATE TABLE for the ledger that one of the files carries: its columns are honoured.
    Runners that come at once are serialised by a transaction-level lock that ends with it.
    """
    if is_made(ledger, highest_version):
        return ledger
    try:
        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '10s'")
            conn.execute("SET LOCAL statement_timeout = 0")
            conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('tidelock ledger', 0))")
            make(conn, ledger, created_by_file, highest_version)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NoSchema(error.diag.message_primary or str(error), user, ledger.schema) from None
    return find(conn, ledger.name)


def is_made(ledger: Ledger, highest_version: int) -> bool:
    """Nothing is to be made or upgraded."""
    return ledger.format >= FORMAT and INTEGERS[ledger.columns["version"]] >= highest_version


def make(
    conn: psycopg.Connection[tuple[object, ...]],
    ledger: Ledger,
    created_by_file: str | None,
    highest_version: int,
) -> None:
    """The statements of `prepare`."""
    if ledger.schema == OWN_SCHEMA and not ledger.exists:
        conn.execute(ledger.fill("CREATE SCHEMA IF NOT EXISTS {schema}"))
    now = find(conn, ledger.name)
    if is_made(now, highest_version):
        return  # somebody was faster, and is at work: what follows would lock its tables against it
    if not now.exists and created_by_file:
        conn.execute(created_by_file.encode())
        now = find(conn, ledger.name)
    if now.exists and not {"description", "name"} & now.columns.keys():
        conn.execute(now.fill("ALTER TABLE {ledger} ADD COLUMN description text"))
    if now.exists and INTEGERS[now.columns["version"]] < highest_version:
        conn.execute(now.fill("ALTER TABLE {ledger} ALTER COLUMN version TYPE bigint"))
    script = resources.files(__package__).joinpath("schema/001_ledger.sql").read_text(encoding="utf-8")
    conn.execute(now.fill(script).encode())  # our own file, trusted as a literal is
    row = conn.execute(HAS_UNIQUE, {"table": now.identifiers["ledger"].as_string(conn)}).fetchone()
    if not row or not row[0]:
        try:
            conn.execute(now.fill("CREATE UNIQUE INDEX ON {ledger} (version)"))
        except psycopg.errors.UniqueViolation as error:
            raise LedgerUnfit(
                now.name,
                f"it has no unique index on version, and none can be made: {error.diag.message_detail}",
            ) from None


# --- reading it ------------------------------------------------------------------------------------------------

OWN_COLUMNS = ("applied_at", "sha256", "tokens", "tokens_version", "git_commit", "applied_by")


def applied(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger) -> dict[int, LedgerEntry]:
    """Every migration this database knows of, by version."""
    if not ledger.exists:
        return {}
    columns = sql.SQL(", ").join(
        sql.Identifier(name) if name in ledger.columns else sql.SQL("NULL")
        for name in ("version", ledger.description, *OWN_COLUMNS)
    )
    query = sql.SQL("SELECT {} FROM {}").format(columns, ledger.identifiers["ledger"])
    entries: dict[int, LedgerEntry] = {}
    for version, description, applied_at, sha256, tokens, tokens_version, commit, by in conn.execute(query):
        entries[cast("int", version)] = LedgerEntry(
            version=cast("int", version),
            description=cast("str", description or ""),
            applied_at=cast("None", applied_at),
            checksum=cast("str | None", sha256),
            tokens=cast("str | None", tokens),
            tokens_version=cast("int | None", tokens_version),
            commit=cast("str | None", commit),
            applied_by=cast("str | None", by),
        )
    return entries


UNFINISHED = """
SELECT DISTINCT ON (j.version, j.step) j.version, j.step, j.event, j.digest, j.at, j.run_id, j.statement, j.detail
  FROM {journal} j
 WHERE j.event IN ('started', 'done', 'failed', 'retry') AND j.step IS NOT NULL
   AND NOT EXISTS (SELECT FROM {ledger} l WHERE l.version = j.version)
 ORDER BY j.version, j.step, j.id DESC
"""


def unfinished(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger) -> dict[int, tuple[StepRecord, ...]]:
    """The journal's last word on each step of versions that are not in the ledger."""
    if ledger.format == 0:
        return {}
    found: dict[int, list[StepRecord]] = {}
    for version, step, event, digest, at, run_id, statement, detail in conn.execute(ledger.fill(UNFINISHED).encode()):
        known = cast("dict[str, dict[str, str]]", detail or {})
        found.setdefault(cast("int", version), []).append(
            StepRecord(
                version=cast("int", version),
                step=cast("int", step),
                outcome=Outcome(cast("str", event)),
                digest=cast("str", digest or ""),
                at=cast("None", at),
                run_id=cast("str", run_id),
                statement=cast("str", statement or ""),
                evidence=known.get("evidence", {}),
                variables=known.get("variables", {}),
            )
        )
    return {version: tuple(records) for version, records in found.items()}


def stored_text(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, version: int) -> str | None:
    """The text that was applied as this version."""
    if "content" not in ledger.columns:
        return None
    row = conn.execute(ledger.fill("SELECT content FROM {ledger} WHERE version = %s").encode(), (version,)).fetchone()
    return zlib.decompress(cast("bytes", row[0])).decode() if row and row[0] is not None else None


# --- writing it ------------------------------------------------------------------------------------------------

# The row of a migration and its line in the journal, in one statement. A row that the file itself wrote is completed,
# and its own words are kept. Times are the server's: now() is the start of the transaction.
RECORD = """
WITH written AS (
  INSERT INTO {ledger} AS l (version, {description}, sha256, tokens, tokens_version, content, path, git_commit,
                             applied_by, run_id, duration_ms)
  VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
          %s + (extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::bigint)
  ON CONFLICT (version) DO UPDATE SET
    {description} = coalesce(l.{description}, excluded.{description}), sha256 = excluded.sha256,
    tokens = excluded.tokens, tokens_version = excluded.tokens_version, content = excluded.content,
    path = excluded.path, git_commit = excluded.git_commit, applied_by = excluded.applied_by,
    run_id = excluded.run_id, duration_ms = excluded.duration_ms
  RETURNING l.version, l.run_id, l.duration_ms)
INSERT INTO {journal} (run_id, event, version, step, digest, duration_ms, lock_wait_ms)
SELECT run_id, %s, version, %s, %s, duration_ms, %s FROM written
RETURNING extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now())"""

JOURNAL = """
INSERT INTO {journal} (run_id, event, version, step, digest, statement, duration_ms, lock_wait_ms, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who runs, and from what: the same for every row of a run."""

    run_id: str
    who: str
    commit: str | None = None


PREPARED_RECORD = "tidelock_record"
RECORD_TYPES = "bigint, text, text, text, integer, bytea, text, text, text, text, bigint, text, integer, text, bigint"


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
        earlier_ms,
        event,
        step.number if step else None,
        step.digest if step else None,
        lock_wait_ms,
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
        json.dumps(detail, default=str, ensure_ascii=True) if detail else None,
    )
    return ledger.journal_template % tuple(map(literal, values))


# Fails the transaction unless nobody else's row was touched: the file may write its own version's row, no other.
ONLY_OWN_ROW = """
SELECT CASE WHEN pg_catalog.count(*) = %s THEN 1 ELSE ('tidelock: foreign ledger rows ' || pg_catalog.count(*))::int END
  FROM {ledger} WHERE version <> %s"""
FOREIGN_ROWS = "tidelock: foreign ledger rows"


def only_own_row(ledger: Ledger, version: int, others: int) -> str:
    """SQL that fails when the file wrote or deleted a row of another version; `others` is how many there were."""
    return ledger.fill(ONLY_OWN_ROW) % (others, version)
