"""One file's statements → the steps that run and are recorded together.

The rules, each measured in `docs/adr/0003-steps.md`: a file is one transaction; a statement that no transaction may
hold is a step of its own; a BEGIN … COMMIT of the file keeps its meaning; and what works under psql's autocommit and
not together is cut apart.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import field, replace
from itertools import chain
from typing import TYPE_CHECKING

from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.script_faults import EncodingRefused
from tidelock.core.statement import Ending, Kind, Statement
from tidelock.core.step import Mode, Step
from tidelock.core.surroundings import CHECKED, NONE, Surroundings, bare
from tidelock.core.values import record
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.statement import Facts, Item, Script


class NeverCommitted(SourceFault):
    """A BEGIN without a COMMIT: psql would throw the work away at the end of the file, without a word."""

    code = "S040"

    def __init__(self, begin: Place) -> None:
        super().__init__(
            f"{begin}: this BEGIN has no COMMIT, so psql would throw its work away at the end of the file",
            hint="add COMMIT; or delete BEGIN, as Tidelock runs a file in one transaction anyway",
        )


class AloneInBlock(SourceFault):
    """A statement that no transaction may hold, between the file's own BEGIN and COMMIT, or among those `\\;` joins."""

    code = "S041"

    def __init__(self, place: Place, command: str, begin: Place | None) -> None:
        where = f"the transaction that line {begin.line} begins" if begin else "the transaction that `\\;` makes"
        super().__init__(
            f"{place}: {command} cannot run inside {where}",
            hint="move it before BEGIN or after COMMIT, or into a file of its own"
            if begin
            else "end the statements around it with `;`",
        )


class RuntimeTransaction(SourceFault):
    """BEGIN, COMMIT or ROLLBACK that only the run decides about."""

    code = "S042"

    def __init__(
        self,
        place: Place,
        command: str,
        why: str = "stands under an \\if that is decided only while the file runs",
        hint: str = "take transaction control out of the \\if; Tidelock runs a file in one transaction anyway",
        detail: str = "",
    ) -> None:
        super().__init__(f"{place}: {command} {why}", hint=hint, detail=detail)


class TwoPhase(SourceFault):
    """PREPARE TRANSACTION and its like: the outcome is decided outside of the file."""

    code = "S043"

    def __init__(self, place: Place, command: str) -> None:
        super().__init__(
            f"{place}: {command} leaves the outcome to somebody else, so it cannot be recorded",
            hint="use COMMIT",
        )


UTF8 = regex(r"utf-?8|unicode|\bdefault\b|^\s*reset\b", re.IGNORECASE)
BUILT_ALONE = regex(
    r"\s*(?:CREATE\s+DATABASE|DROP\s+DATABASE|VACUUM|CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY|DROP\s+INDEX\s+CONCURRENTLY"
    r"|REINDEX\s|ALTER\s+SYSTEM|CREATE\s+TABLESPACE|DROP\s+TABLESPACE)",
    re.IGNORECASE,
)


@record(frozen=False, slots=True)
class Cutter:
    """Collects items into steps; the only mutable thing here."""

    migration: Migration
    surroundings: Surroundings
    digests: bool = True
    """Steps are to have digests, for the journal."""
    steps: list[Step] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    begin: Statement | None = None
    reason: str = ""
    values: set[str] = field(default_factory=set)
    """Enum values that the statements collected so far add, …"""
    written: bool = False
    """… whether they may have changed rows, of whatever table: a foreign key, a trigger or a function may, …"""
    rows: set[str] = field(default_factory=set)
    """… and the bare names of the tables whose rows they do change."""
    defaults: bool = False
    """The file has changed the defaults of transactions."""
    joined: bool = False
    """`\\;` joins the statements collected so far with the next, in a file whose statements are else by themselves."""
    transactional: bool = field(init=False)

    def __post_init__(self) -> None:
        self.transactional = self.migration.transactional

    def take(self, item: Item) -> None:
        """Put one item where it belongs."""
        if not isinstance(item, Statement):
            self.items.append(item)
            return
        match item.facts.kind:
            case Kind.BEGIN | Kind.COMMIT | Kind.ROLLBACK if item.guards:
                raise RuntimeTransaction(item.place, item.facts.command)
            case Kind.TWO_PHASE:
                raise TwoPhase(item.place, item.facts.command)
            case Kind.SESSION if item.facts.sets == "client_encoding" and not UTF8.search(item.text):
                what = "client_encoding is set to something other than UTF8, and the file was read as UTF-8"
                raise EncodingRefused(what, item.place, hint="delete the line; convert a file in another encoding")
            case Kind.BEGIN:
                self.open(item)
            case Kind.COMMIT | Kind.ROLLBACK:
                self.close(item)
            case _:
                self.put(item)

    def open(self, begin: Statement) -> None:
        """The file begins a transaction of its own. A second BEGIN only warns in psql, and here."""
        if self.begin is None:
            self.flush("the file begins a transaction of its own")
            self.begin = begin

    def close(self, end: Statement) -> None:
        """COMMIT or ROLLBACK. Without a BEGIN psql only warns, and nothing is sent here."""
        if self.begin is None:
            return
        begin, rolled_back = self.begin, end.facts.kind is Kind.ROLLBACK
        self.add(Mode.OWN, begin=begin, rolled_back=rolled_back)
        self.begin = begin if "AND CHAIN" in end.facts.command.upper() else None

    def put(self, statement: Statement) -> None:
        """A statement that does not control transactions."""
        does = self.surroundings.does(statement)
        joins = not self.transactional and statement.ending is Ending.SEPARATOR
        why = self.why_alone(statement, does, joined=joins or self.joined)
        if why and (self.begin or joins or self.joined):
            begin = self.begin.place if self.begin else None
            raise AloneInBlock(statement.place, statement.facts.command or "this statement", begin)
        if self.begin is None and (why or not self.transactional):
            self.put_apart(statement, does, why, joins=joins)
            return
        if self.begin is None and (cut := self.why_cut(statement, does)):
            self.flush(self.reason)
            self.reason = cut
        self.collect(statement, does)
        if self.begin is None and (after := self.why_cut_after(statement)):
            self.flush(self.reason)
            self.reason = after

    def put_apart(self, statement: Statement, does: Sequence[Facts], why: str, *, joins: bool) -> None:
        """One that is a step by itself, or one of those that `\\;` joins into a step."""
        if not self.joined:
            self.flush(self.reason)
        self.collect(statement, does)
        self.joined = joins
        if not joins:
            self.add(Mode.ALONE if why else Mode.TRANSACTION, reason=why or "the file says no-transaction")

    def collect(self, statement: Statement, does: Sequence[Facts]) -> None:
        """One more of the transaction at hand."""
        self.items.append(statement)
        self.surroundings = self.surroundings.beyond(does)
        self.values |= new_values(does)
        if self.surroundings.deferred:
            self.rows.update(bare(table) for each in does for table in each.writes)
        self.written = self.written or may_write(statement)

    def why_alone(self, statement: Statement, does: Sequence[Facts], *, joined: bool) -> str:
        """Why no transaction may hold the statement; empty when one may. `joined` to others it is in psql's."""
        facts = statement.facts
        if facts.alone:
            return facts.alone
        if called := self.surroundings.called(does):
            return f"{called[0]}() commits by itself"
        if statement.ending is Ending.GEXEC and any(BUILT_ALONE.match(text) for text in facts.literals):
            return "\\gexec runs what no transaction may hold"
        unknown = facts.kind in (Kind.CODE, Kind.UNKNOWN) or statement.ending is Ending.GEXEC
        if not self.transactional and unknown and not joined:
            return "the file says no-transaction, and what this statement does is not known"
        return ""

    def why_cut(self, statement: Statement, does: Sequence[Facts]) -> str:
        """Why the statement cannot share the transaction of those before it, though autocommit allows it."""
        if self.values and not new_values(does) and uses_value(statement, self.values):
            return "a new enum value can be used only after its commit"
        deferred = self.surroundings.deferred if self.written else None
        if deferred and (pending := sorted(deferred.intersection(chain.from_iterable(map(changed_by, does))))):
            return f"{pending[0]} has deferred constraints to check first"
        unnamed = deferred and any(each.kind is Kind.UNKNOWN and each.command in CHANGES for each in does)
        if unnamed and (pending := sorted(self.rows & self.surroundings.deferred)):
            return f"{pending[0]} may be changed, and has deferred constraints to check first"
        return ""

    def why_cut_after(self, statement: Statement) -> str:
        """Why the transaction ends with the statement: psql's would, and what follows would notice."""
        if statement.facts.kind not in SETTING or statement.ending is Ending.SEPARATOR:
            return ""
        if sets_defaults(statement) or (self.defaults and statement.facts.sets == "all"):
            self.defaults = True
            return "defaults of transactions hold from the next one on"
        return "a local setting ends with its statement" if sets_locally(statement) else ""

    def flush(self, reason: str) -> None:
        """Close the transaction that is being collected, when it has statements."""
        if any(isinstance(item, Statement) for item in self.items):
            self.add(Mode.TRANSACTION, reason=reason)
        self.reason = ""

    def add(self, mode: Mode, *, reason: str = "", begin: Statement | None = None, rolled_back: bool = False) -> None:
        """Make a step of what was collected."""
        self.steps.append(
            Step(
                version=self.migration.version,
                number=len(self.steps) + 1,
                mode=mode,
                items=tuple(self.items),
                reason=reason,
                begin=begin,
                rolled_back=rolled_back,
                digest=digest_of(mode, self.items) if self.digests else "",
            )
        )
        self.items = []
        self.values, self.rows, self.written = set(), set(), False

    def finish(self) -> tuple[Step, ...]:
        """The steps; at least one, so that a file of comments is recorded too."""
        if self.begin is not None:
            raise NeverCommitted(self.begin.place)
        if not self.steps or any(isinstance(item, Statement) for item in self.items):
            self.add(Mode.TRANSACTION, reason=self.reason)
        elif self.items:  # echoes after the last statement
            last = self.steps.pop()
            self.steps.append(replace(last, items=(*last.items, *self.items)))
        return tuple(self.steps)


def steps_of(migration: Migration, script: Script, surroundings: Surroundings = NONE) -> tuple[Step, ...]:
    """Cut one file into steps, in order. Raises a SourceFault when its transactions cannot be honoured."""
    cutter = Cutter(migration, surroundings, digests=bool(script.tokens))
    for item in script.items:
        cutter.take(item)
    return cutter.finish()


SETTING = (Kind.SESSION, Kind.QUERY, Kind.CODE, Kind.UNKNOWN)
"""What may change settings."""
DEFAULTS = regex(
    r"\bdefault_transaction_(?:read_only|isolation|deferrable)\b|\bsession\s+characteristics\b", re.IGNORECASE
)
"""What a transaction takes over when it begins."""
SETS_LOCAL = regex(r"\bset\s+local\b", re.IGNORECASE)


def sets_defaults(statement: Statement) -> bool:
    """True when it may change what the transactions after it begin with."""
    facts = statement.facts
    if facts.kind is Kind.SESSION:
        return DEFAULTS.fullmatch(facts.sets) is not None
    if facts.kind is Kind.QUERY and "set_config" not in map(bare, facts.calls):
        return False
    return DEFAULTS.search(statement.text) is not None


def sets_locally(statement: Statement) -> bool:
    """True for set_config(…, true) and for a DO with SET LOCAL: outside of a BEGIN its end is theirs."""
    facts = statement.facts
    if facts.keeps or facts.kind not in (Kind.QUERY, Kind.CODE):
        return False
    called = "set_config" in map(bare, facts.calls)
    return called or (facts.kind is Kind.CODE and SETS_LOCAL.search(statement.text) is not None)


def may_write(statement: Statement) -> bool:
    """True when it may change rows: by itself, or by a function of which nobody knows what it does."""
    facts = statement.facts
    if facts.writes or statement.runtime or facts.kind in (Kind.CODE, Kind.UNKNOWN, Kind.DML, Kind.COPY):
        return True
    return bool(facts.calls) and not facts.rerunnable and (facts.session or facts.kind is Kind.QUERY)


CHANGES = ("ALTER TABLE", "CREATE INDEX", "CREATE TRIGGER", "DROP INDEX", "DROP TABLE", "REINDEX", "TRUNCATE")
"""Commands that do, when they cannot be read so far that their table is known."""


def changed_by(facts: Facts) -> set[str]:
    """Bare names of the tables that it changes in a way that wants their deferred checks made first."""
    locked = {lock.table for lock in facts.locks if lock.mode in CHECKED}
    return {bare(name) for name in (*(each.qualified for each in (*facts.alters, *facts.drops)), *locked)}


def new_values(does: Iterable[Facts]) -> set[str]:
    """The enum values that it adds, … for one that is known only while it runs."""
    found: set[str] = set()
    for facts in does:
        if facts.new_enum_values:
            found.update(value for _, value in facts.new_enum_values)
        elif facts.kind is Kind.UNKNOWN and facts.command == "ALTER TYPE … ADD VALUE":
            found.add("…")
    return found


EVALUATES = ("CREATE TABLE AS", "SELECT INTO", "CREATE MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW")
"""Definitions that run a query."""
COMPUTES = regex(r"ALTER\s.*(?:::|\b(?:CAST|TYPE|USING)\b)", re.IGNORECASE | re.DOTALL)
"""ALTER TABLE that may give its rows other values."""
STORES = ("CREATE TABLE", "CREATE VIEW", "CREATE FUNCTION", "CREATE PROCEDURE", "CREATE TRIGGER")
"""Definitions that keep what they call for later."""
READING = ("SELECT", "VALUES", "EXPLAIN")


def uses_value(statement: Statement, values: Iterable[str]) -> bool:
    """True when the statement may use one of the new enum values, or cannot be read well enough to exclude it.

    Rows may hold its name as text, triggers and functions may set it: only definitions that run nothing are sure.
    """
    facts, text = statement.facts, statement.text
    if statement.runtime or facts.kind in (Kind.CODE, Kind.UNKNOWN, Kind.DML, Kind.COPY) or facts.writes:
        return True
    if facts.kind is Kind.QUERY:
        return facts.command in READING
    if facts.command.startswith(EVALUATES) or (facts.calls and facts.command not in STORES):
        return True
    if facts.command.startswith("ALTER TABLE") and COMPUTES.match(text):
        return True
    return any("'" + value.replace("'", "''") + "'" in text or f"${value}$" in text for value in values)


def digest_of(mode: Mode, items: Iterable[Item]) -> str:
    """SHA-256 (hex) over how the statements run and their tokens."""
    digest = hashlib.sha256(f"{mode}\n".encode())
    for item in items:
        if isinstance(item, Statement):
            digest.update(f"{item.ending} {item.tokens}\n".encode())
    return digest.hexdigest()
