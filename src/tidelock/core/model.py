"""The values that flow: Migration, Statement, Facts, Step, Plan, LedgerEntry, Observed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. `line` and `column` count from 1, columns in characters."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Kind(StrEnum):
    """What family a statement belongs to."""

    DDL = "ddl"
    DML = "dml"
    QUERY = "query"
    """Reads: SELECT, VALUES, TABLE, SHOW, EXPLAIN. May still call functions that write."""
    COPY = "copy"
    SESSION = "session"
    """SET, RESET, DISCARD, PREPARE, LISTEN, DECLARE: changes the session, not the database."""
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    """SAVEPOINT, RELEASE, ROLLBACK TO."""
    TWO_PHASE = "two-phase"
    """PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED."""
    CODE = "code"
    """DO and CALL."""
    UTILITY = "utility"
    """VACUUM, ANALYZE, CHECKPOINT, CLUSTER, REINDEX, LOCK, …"""
    UNKNOWN = "unknown"
    """Not readable, or decided at run time. Never called safe."""


@dataclass(frozen=True, slots=True, order=True)
class Object:
    """A database object that a statement names. `schema` is empty when the statement leaves it to search_path.

    `kind` is one of: table, view, materialized view, index, sequence, function, procedure, trigger, policy, type,
    schema, extension, database, role, constraint, column, rule, domain, tablespace, subscription, publication,
    aggregate (a continuous aggregate), hypertable, dimension (a hypertable's column), job (a policy of TimescaleDB's:
    `name` is its proc_name in timescaledb_information.jobs, as policy_retention), other.
    `parent` is the table of a trigger, policy, rule, column, constraint, index, dimension or job, written as in Lock.
    An index without a name has the name "".
    """

    kind: str
    name: str
    schema: str = ""
    parent: str = ""

    @property
    def qualified(self) -> str:
        """`schema.name`, or the bare name."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Lock:
    """A table-level lock that a statement takes and keeps until its transaction ends."""

    table: str
    """As written: `name` or `schema.name`."""
    mode: str
    """PostgreSQL's name without the word Lock: AccessExclusive, ShareRowExclusive, Share, ShareUpdateExclusive, …"""
    rewrite: bool = False
    """True when the whole table is rewritten under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What planner, linter and recovery know of one statement. Computed once, by `core/facts.py`."""

    kind: Kind = Kind.UNKNOWN
    command: str = ""
    """What people call it: CREATE TABLE, CREATE INDEX CONCURRENTLY, ALTER TABLE … ADD COLUMN,
    refresh_continuous_aggregate."""
    creates: tuple[Object, ...] = ()
    drops: tuple[Object, ...] = ()
    alters: tuple[Object, ...] = ()
    writes: frozenset[str] = frozenset()
    """Tables whose rows it changes, as written (`name` or `schema.name`)."""
    locks: tuple[Lock, ...] = ()
    alone: str = ""
    """Why no transaction block may hold it; empty when one may. A sentence without a full stop."""
    first_in_session: bool = False
    """It must be the first command of a session: ALTER EXTENSION timescaledb UPDATE. `alone` is filled as well."""
    rerunnable: bool = False
    """Running it a second time changes nothing and raises nothing, whatever happened to the first."""
    guarded: bool = False
    """It carries IF [NOT] EXISTS or OR REPLACE."""
    cascade: bool = False
    """It carries CASCADE: it may drop or empty objects that it does not name."""
    session: bool = True
    """It may leave something behind in the session: settings, role, temporary objects, prepared statements,
    advisory locks. True whenever that cannot be excluded."""
    session_only: bool = False
    """Its whole effect is on the session (SET, CREATE TEMP …, writes to temporary tables): replay is harmless."""
    external: bool = False
    """It has effects that leave the WAL and no rollback undoes: ALTER SYSTEM, tablespaces, dblink, COPY TO a file of
    the server."""
    calls: frozenset[str] = frozenset()
    """Functions and procedures it names, lower case, as written."""
    new_enum_values: tuple[tuple[str, str], ...] = ()
    """(type, value) for ALTER TYPE … ADD VALUE."""
    literals: frozenset[str] = frozenset()
    """String constants in it, bodies included. Filled only for statements that are not plain DDL."""
    ledger_versions: tuple[int, ...] | None = None
    """INSERT INTO schema_migrations: the constant versions it writes; () when they are not constants; None when
    it does not write to a table of that name."""
    deferred: frozenset[str] = frozenset()
    """Tables that get a constraint or trigger that is INITIALLY DEFERRED."""
    sets: str = ""
    """The name of the setting that SET changes: search_path, role, transaction (SET TRANSACTION), …"""
    body: Facts | None = None
    """CREATE FUNCTION or PROCEDURE: what a call of it would do. Creating it does nothing of that."""


UNKNOWN = Facts()


class Quote(StrEnum):
    """How psql interpolates a variable: `:x` as it is, `:'x'` as a literal, `:"x"` as an identifier."""

    RAW = ""
    LITERAL = "'"
    IDENTIFIER = '"'
    EXISTS = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A psql variable whose value is known only when the script runs (set by \\gset)."""

    name: str
    quote: Quote = Quote.RAW


@dataclass(frozen=True, slots=True)
class Guard:
    """An \\if whose outcome is known only at run time.

    The item runs when `condition` is true and none of `unless` was (the \\if and \\elif branches before it).
    A condition is a piece of text with variables in it, read as psql reads a boolean.
    """

    condition: tuple[str | Variable, ...]
    unless: tuple[tuple[str | Variable, ...], ...] = ()


class Ending(StrEnum):
    """How a statement was sent off, and so what is done with its result."""

    SEMICOLON = ";"
    EOF = "eof"
    """psql -f sends what is in the buffer at the end of the file."""
    G = "\\g"
    GSET = "\\gset"
    GEXEC = "\\gexec"
    SEPARATOR = "\\;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One SQL statement as psql would send it, with its place in the files.

    `text` has the variables that are known replaced; it carries no trailing semicolon.
    """

    text: str
    place: Place
    """Of its first token (comments before it left out)."""
    end_line: int = 0
    pieces: tuple[str | Variable, ...] = ()
    """Only when something is known at run time alone: the text in pieces. `text` then shows `:name`."""
    spans: tuple[tuple[int, Place], ...] = ()
    """Where the characters of `text` come from: (offset in text, place), ascending, one entry per line start,
    per variable and per change of file."""
    copy_data: str | None = None
    """For COPY … FROM STDIN (and \\copy from a file beside the migration): the data, `\\.` left out."""
    ending: Ending = Ending.SEMICOLON
    gset_prefix: str = ""
    guards: tuple[Guard, ...] = ()
    tokens: str = ""
    """Digest (SHA-256, hex) of its tokens: comments and white space outside literals and bodies left out."""
    facts: Facts = UNKNOWN

    @property
    def runtime(self) -> bool:
        """True when what runs is decided only at run time."""
        return bool(self.pieces or self.guards or self.ending is Ending.GEXEC)

    def place_at(self, offset: int) -> Place:
        """The place in the files of the character at `offset` (from 0) in `text`."""
        found, base = self.place, 0
        for start, place in self.spans:
            if start > offset:
                break
            found, base = place, start
        return Place(found.path, found.line, found.column + offset - base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """Text for the person: \\echo, \\qecho, \\warn."""

    parts: tuple[str | Variable, ...]
    place: Place
    warning: bool = False
    newline: bool = True
    """False for `-n`."""
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """\\set or \\unset whose value, or whose being reached, is known only at run time. `parts` None unsets."""

    name: str
    parts: tuple[str | Variable, ...] | None
    place: Place
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quit:
    """\\q under a condition that is known only at run time."""

    place: Place
    guards: tuple[Guard, ...] = ()


Item = Statement | Echo | Assign | Quit


@dataclass(frozen=True, slots=True)
class Script:
    """A psql script, read: what it sends in order, and the text of each file it was read from."""

    items: tuple[Item, ...]
    sources: Mapping[str, str]
    tokens: str
    """Digest over everything that decides what runs; see `TOKENS_VERSION`."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements alone."""
        return tuple(item for item in self.items if isinstance(item, Statement))


@dataclass(frozen=True, slots=True)
class Directive:
    """A `-- tidelock: …` or `-- BREAKING: …` line."""

    name: str
    value: str
    reason: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file, read but not yet parsed: `script` is made only for files that are pending or changed."""

    version: int
    description: str
    path: str
    """As shown to people: relative to where they stand, when it lies below."""
    text: str
    """Its content as text, decompressed, without a byte order mark."""
    checksum: str
    """SHA-256 of the bytes (of the content, when compressed), hex."""
    directives: tuple[Directive, ...] = ()

    @property
    def label(self) -> str:
        """`008 add_humidity`: as written in the file's name."""
        name = self.path.rpartition("/")[2]
        number = name[: len(name) - len(name.lstrip("0123456789"))]
        return f"{number} {self.description}".rstrip()

    def directive(self, name: str) -> Directive | None:
        """The first directive of that name."""
        return next((each for each in self.directives if each.name == name), None)

    @property
    def transactional(self) -> bool:
        """False when the file asks for each statement to run on its own."""
        return self.directive("no-transaction") is None


class Mode(StrEnum):
    """How a step runs."""

    TRANSACTION = "transaction"
    """Statements of the file in one transaction of ours."""
    OWN = "own transaction"
    """A BEGIN … COMMIT of the file."""
    ALONE = "alone"
    """One statement that no transaction may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is run and recorded together."""

    version: int
    number: int
    """From 1 within its file."""
    mode: Mode
    items: tuple[Item, ...]
    reason: str = ""
    """Why it does not share the transaction of the step before it."""
    begin: Statement | None = None
    """The file's own BEGIN, when `mode` is OWN."""
    rolled_back: bool = False
    """The file ends this transaction with ROLLBACK."""
    digest: str = ""
    """SHA-256 (hex) of the tokens of its statements."""

    @property
    def recorded_after(self) -> bool:
        """Its transaction cannot hold the record: rolled back by the file, or READ ONLY. Repeating it is harmless."""
        return self.rolled_back or (self.begin is not None and "READ ONLY" in self.begin.text.upper())

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Its statements, without echoes and assignments."""
        return tuple(item for item in self.items if isinstance(item, Statement))

    @property
    def external(self) -> bool:
        """It has effects that no rollback undoes, or is alone and unreadable: journaled durably before it runs."""
        return any(
            each.facts.external or (self.mode is Mode.ALONE and each.facts.kind is Kind.UNKNOWN)
            for each in self.statements
        )

    @property
    def journaled_first(self) -> bool:
        """Its start is journaled before it runs, because no transaction ties its effect to its row."""
        return self.mode is Mode.ALONE or self.external

    @property
    def session(self) -> bool:
        """It may leave something behind in the session."""
        return any(each.facts.session or each.runtime for each in self.statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One row of the ledger."""

    version: int
    description: str
    applied_at: datetime | None
    checksum: str | None = None
    """None for rows that another hand wrote."""
    tokens: str | None = None
    tokens_version: int | None = None
    commit: str | None = None
    applied_by: str | None = None


class Outcome(StrEnum):
    """What the journal says of a step."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"
    """A person, or the catalog, decided that it is to be run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """The last word of the journal on one step of a version that is not in the ledger."""

    version: int
    step: int
    outcome: Outcome
    digest: str
    at: datetime | None = None
    run_id: str = ""
    statement: str = ""
    evidence: Mapping[str, object]
    """What was known before it started: which objects were there (see `postgres/recovery.py`)."""
    variables: Mapping[str, str]
    """psql variables that \\gset had set when the step was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one look at the database found; only what the files name is asked for."""

    database: str
    user: str
    host: str = ""
    port: str = ""
    server_version: int = 0
    """As `server_version_num`: 150020."""
    pooled: bool = False
    """A pooler stands between: the session belongs to others as well."""
    writable: bool = True
    ledger: str | None = None
    """`schema.table`, or None when there is none yet."""
    applied: Mapping[int, LedgerEntry]
    unfinished: Mapping[int, tuple[StepRecord, ...]]
    clean: bool = True
    """No run holds the lease and the last one released it: what is visible is durable."""
    overridden: Mapping[str, str]
    """Timeouts that the role or the database sets and that a migration must not inherit."""
    extensions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMigration:
    """A pending file with its steps. `done` of them were committed by an earlier run."""

    migration: Migration
    script: Script
    steps: tuple[Step, ...]
    done: int = 0
    interrupted: StepRecord | None = None
    """The step after those that are done was started, and nobody recorded how it ended."""
    variables: Mapping[str, str]
    """psql variables that the steps that are done had set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps for one database now. `id` is a digest: what was reviewed is what runs."""

    id: str
    pending: tuple[PlannedMigration, ...]
    applied: int = 0
    cosmetic: tuple[str, ...] = ()
    """Applied files in which only comments, white space or line ends changed."""
    ahead: tuple[int, ...] = ()
    """Versions that the database has and the files do not, tolerated by --allow-ahead."""
    missing: tuple[int, ...] = ()
