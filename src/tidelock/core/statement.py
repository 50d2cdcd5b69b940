"""What a script says: Statement and what is known of it (Facts), Echo, Assign, Quit, and the Script of them.

Beside `model`, because a run with nothing to do reads no script and need not make these classes.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.model import Place
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.action import Action


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


@record(frozen=True, slots=True, order=True)
class Object:
    """A database object that a statement names. `schema` is empty when the statement leaves it to search_path.

    `kind` is one of: table, view, materialized view, index, sequence, function, procedure, trigger, policy, type,
    operator, schema, extension, database, role, constraint, column, rule, domain, tablespace, subscription,
    publication, aggregate (a continuous aggregate), hypertable, dimension (a hypertable's column), job (a policy of
    TimescaleDB's: `name` is its proc_name in timescaledb_information.jobs, as policy_retention), other.
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


@record(frozen=True, slots=True)
class Lock:
    """A table-level lock that a statement takes and keeps until its transaction ends."""

    table: str
    """As written: `name` or `schema.name`."""
    mode: str
    """PostgreSQL's name without the word Lock: AccessExclusive, ShareRowExclusive, Share, ShareUpdateExclusive, …"""
    rewrite: bool = False
    """True when the whole table is rewritten under it."""


@record(frozen=True, slots=True, kw_only=True)
class Facts:
    """What planner, linter and recovery know of one statement. Computed once, by `core/facts.py`."""

    kind: Kind = Kind.UNKNOWN
    command: str = ""
    """What people call it: CREATE TABLE, CREATE INDEX CONCURRENTLY, ALTER TABLE … ADD COLUMN,
    refresh_continuous_aggregate."""
    creates: tuple[Object, ...] = ()
    drops: tuple[Object, ...] = ()
    alters: tuple[Object, ...] = ()
    renames: tuple[tuple[Object, Object], ...] = ()
    """(before, after) of what gets another name or schema. A value of an enum is of the kind `enum value` here, and
    its type the parent."""
    writes: frozenset[str] = frozenset()
    """Tables whose rows it changes, as written (`name` or `schema.name`)."""
    changes: frozenset[str] = frozenset()
    """Of those, the ones whose rows from before may go or change: all but what a plain INSERT or COPY adds to."""
    harms: frozenset[tuple[str, str]] = frozenset()
    """(what it does, to what) where something is lost in another way than by DROP or by changing rows."""
    binds: frozenset[tuple[str, str]] = frozenset()
    """(a, b) of tables: from now on what happens to a may happen to b. ATTACH PARTITION, INHERIT, foreign keys."""
    parents: frozenset[tuple[str, str]] = frozenset()
    """(parent, child) of tables that become one family: PARTITION OF, ATTACH PARTITION, INHERITS, INHERIT."""
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
    keeps: str = ""
    """What of it changes the session for certain and outlives the transaction, bodies of DO included: SET search_path,
    set_config, pg_advisory_lock."""
    unread: bool = False
    """Part of it is not before us: SQL that a body puts together while it runs, a body in another language."""
    external: bool = False
    """It has effects that leave the WAL and no rollback undoes: ALTER SYSTEM, tablespaces, dblink, COPY TO a file of
    the server."""
    calls: frozenset[str] = frozenset()
    """Functions and procedures it names, lower case, as written."""
    strange: frozenset[str] = frozenset()
    """Of those, the ones that run now and that nobody knows to take nothing away: users' own, mostly."""
    varies: bool = False
    """A function that it runs may act, or give another value, each time: nextval, random, users' own."""
    fires: frozenset[str] = frozenset()
    """CREATE TRIGGER: INSERT, UPDATE, DELETE, TRUNCATE."""
    sequences: frozenset[str] = frozenset()
    """Those that come with a column (serial, identity), by the names that PostgreSQL gives them."""
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
    actions: tuple[Action, ...] = ()
    """What it does, one thing at a time and in the detail that the checks need."""
    body: Facts | None = None
    """CREATE FUNCTION or PROCEDURE: what a call of it would do. Creating it does nothing of that."""


UNKNOWN = Facts()


class Quote(StrEnum):
    """How psql interpolates a variable: `:x` as it is, `:'x'` as a literal, `:"x"` as an identifier."""

    RAW = ""
    LITERAL = "'"
    IDENTIFIER = '"'
    EXISTS = "?"


@record(frozen=True, slots=True)
class Variable:
    """A psql variable whose value is known only when the script runs (set by \\gset)."""

    name: str
    quote: Quote = Quote.RAW


@record(frozen=True, slots=True)
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


@record(frozen=True, slots=True, kw_only=True)
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
    per variable and per change of file. Empty where `text` is what the file has from `place` on."""
    copy_data: str | None = None
    """For COPY … FROM STDIN (and \\copy from a file beside the migration): the data, `\\.` left out."""
    ending: Ending = Ending.SEMICOLON
    gset_prefix: str = ""
    guards: tuple[Guard, ...] = ()
    tokens: str = ""
    """Digest (SHA-256, hex) of its tokens: comments and white space outside literals and bodies left out."""
    facts: Facts = UNKNOWN
    written: str = ""
    """As the file has it, with the names of variables, where their values have made another text of it."""

    @property
    def shown(self) -> str:
        """What is shown and kept of it: the value of a variable may be a password."""
        return self.written or self.text

    @property
    def runtime(self) -> bool:
        """True when what runs is decided only at run time."""
        return bool(self.pieces or self.guards or self.ending is Ending.GEXEC)

    def place_at(self, offset: int) -> Place:
        """The place in the files of the character at `offset` (from 0) in `text`."""
        found, base = self.place, 0
        if not self.spans and (lines := self.text.count("\n", 0, offset)):
            return Place(found.path, found.line + lines, offset - self.text.rindex("\n", 0, offset))
        for start, place in self.spans:
            if start > offset:
                break
            found, base = place, start
        return Place(found.path, found.line, found.column + offset - base)


@record(frozen=True, slots=True, kw_only=True)
class Echo:
    """Text for the person: \\echo, \\qecho, \\warn."""

    parts: tuple[str | Variable, ...]
    place: Place
    warning: bool = False
    newline: bool = True
    """False for `-n`."""
    guards: tuple[Guard, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class Assign:
    """\\set or \\unset whose value, or whose being reached, is known only at run time. `parts` None unsets."""

    name: str
    parts: tuple[str | Variable, ...] | None
    place: Place
    guards: tuple[Guard, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class Quit:
    """\\q under a condition that is known only at run time."""

    place: Place
    guards: tuple[Guard, ...] = ()


Item = Statement | Echo | Assign | Quit


@record(frozen=True, slots=True)
class Script:
    """A psql script, read: what it sends in order, and the text of each file it was read from."""

    items: tuple[Item, ...]
    sources: Mapping[str, str]
    tokens: str
    """Digest over everything that decides what runs; see `TOKENS_VERSION`."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """What decided beside the file itself, each with a digest: files that it names, by their paths from its directory,
    and `variable x`."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements alone."""
        return tuple(item for item in self.items if isinstance(item, Statement))
