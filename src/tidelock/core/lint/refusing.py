"""What TimescaleDB is certain to refuse of pending files: the rules that claim so, with the live schema as known.

Lint may warn of what is likely. Here only what is certain counts, as a false refusal stops a deployment: nothing is
said of a statement that may not run, or of what one before it may have changed in a way that cannot be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import tidelock.core.lint.timescale  # noqa: F401 - its rules are registered
from tidelock.core.lint.findings import allowance, finding
from tidelock.core.lint.known import Known, key, target
from tidelock.core.lint.look import File, Look
from tidelock.core.lint.rule import RULES, Rule
from tidelock.core.model import Place
from tidelock.core.statement import Ending, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tidelock.core.action import Action
    from tidelock.core.model import Migration
    from tidelock.core.report import Finding
    from tidelock.core.statement import Script, Statement

LIVE = "the database"
"""What the place of a statement is called that stands in no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the catalog says beside the schema."""

    compressed: frozenset[str] = frozenset()
    """Hypertables with a compressed chunk, by the names that rules know them by."""
    read: frozenset[tuple[str, str]] = frozenset()
    """(table, column) that a view or an aggregate reads."""
    preserves: bool = False
    """Aggregates that a file drops and recreates are kept, so that Tidelock itself drops what depends on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A file that is to run."""

    migration: Migration
    script: Script
    """With actions."""
    done: frozenset[Place] = frozenset()
    """Its statements that have run, or may have: their work is in the live schema."""


@dataclass(slots=True)
class Doubt:
    """What the statements so far may have changed in ways that cannot be read."""

    everything: bool = False
    unqualified: bool = False
    """search_path was set: a bare name may be another table's."""
    words: set[str] = field(default_factory=set)
    """What DO blocks name."""
    changed: set[tuple[str, str]] = field(default_factory=set)
    """(what was done, table): what makes a claim about a table less than certain."""

    def about(self, statement: Statement) -> bool:
        """Whether nothing should be said of a statement."""
        names = {name for each in statement.facts.actions for name in (each.table, target(each)) if name}
        if self.everything or (self.unqualified and any("." not in each for each in names)):
            return True
        return any(each.rpartition(".")[2] in self.words for each in names)

    def after(self, statement: Statement) -> None:
        """Take in one that runs before the rest."""
        facts, text = statement.facts, statement.text.lower()
        if facts.kind is Kind.SESSION:
            self.unqualified |= facts.sets == "search_path" and not PUBLIC.search(text)
            return
        unread = facts.kind in (Kind.CODE, Kind.QUERY, Kind.DML, Kind.COPY) and facts.session
        undone = facts.kind is Kind.ROLLBACK or (facts.kind is Kind.SAVEPOINT and text.startswith("rollback"))
        if facts.command == "DO":
            self.words |= set(WORD.findall(text))
            unread |= bool(re.search(r"\b(?:execute|call)\b", text))
        self.everything |= unread or undone or uncertain(statement) or facts.first_in_session
        if not sure_to_run(statement):
            self.words |= {about(each).rpartition(".")[2] for each in facts.actions if CHANGES.search(each.name)}
        for each in facts.actions:
            self.changed.add((each.name.rpartition(".")[2] if each.what == "call" else each.what, about(each)))
            self.everything |= each.what == "call" and each.name.endswith("create_hypertable") and not target(each)


WORD = re.compile(r"\w+")
PUBLIC = re.compile(r"\bsearch_path\s*(?:=|to)\s*['\"]?public['\"]?\s*(?:,.*)?$", re.DOTALL)


def about(action: Action) -> str:
    """The table that an action is about, as rules know it."""
    return target(action) if action.what == "call" else key(action.table)


def uncertain(statement: Statement) -> bool:
    """Whether it may not run, or do something else than it says."""
    return statement.runtime or statement.ending is Ending.GEXEC or statement.facts.kind is Kind.UNKNOWN


def live(schema: Script) -> Known:
    """The schema of a live database, read from the statements that make it, as if files had made it."""
    known = Known()
    for each in schema.statements:
        for done in each.facts.actions:
            known.learn(done, Place(LIVE, each.place.line))
    return known


ASKED = (Kind.DDL, Kind.CODE, Kind.QUERY, Kind.UTILITY)
LITERAL = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
IN_CASE = re.compile(r"\b(?:from|where|case|coalesce|having|limit|union|with)\b", re.IGNORECASE)
CHANGES = re.compile(r"\b(?:add|remove|create|alter)_\w+$")
"""Calls that change what is known, when they come there."""


def sure_to_run(statement: Statement) -> bool:
    """Whether it does what it says: `SELECT add_retention_policy(…) WHERE NOT EXISTS (…)` may not."""
    facts = statement.facts
    if facts.command == "DO" or uncertain(statement):
        return False
    if facts.kind is Kind.QUERY:
        return not IN_CASE.search(LITERAL.sub("''", statement.text))
    return facts.kind in ASKED or facts.command.startswith("TRUNCATE")


def refused(
    pending: Sequence[Pending],
    known: Known,
    server: Server,
    more: Callable[[Look, Doubt], Iterable[Finding]] = lambda *_: (),
) -> Iterator[tuple[Statement, Finding]]:
    """What the server will refuse, in the order in which it would; what a file allows is left out.

    `more` is asked too: it may look at the rows.
    """
    for look, doubt in certain_ones(pending, known):
        for one in (*found(look, doubt, server), *more(look, doubt)):
            if not allowance(look.file, one):
                yield look.statement, one


def certain_ones(pending: Sequence[Pending], known: Known) -> Iterator[tuple[Look, Doubt]]:
    """The statements that are sure to run, on tables that are as they are known to be; `known` grows with them."""
    doubt = Doubt()
    for each in pending:
        file = File(each.migration, each.script, known=known)
        for number, statement in enumerate(file.statements):
            if statement.place in each.done:
                continue
            look = Look(file, statement, number, known)
            if sure_to_run(statement) and not doubt.about(statement):
                yield look, doubt
            for done in statement.facts.actions:
                known.learn(done, statement.place)
            doubt.after(statement)


def found(look: Look, doubt: Doubt, server: Server) -> Iterator[Finding]:
    """What the rules say of one statement, as far as it is certain."""
    what = {each.what for each in look.facts.actions}
    for rule in RULES.values():
        if rule.refused and rule.statement and (not rule.on or rule.on & what) and certain(rule, look, doubt, server):
            for remark in rule.statement(look):
                made = finding(rule, remark, statement=look.statement, text=look.file.migration.text)
                yield replace(made, message=since_live(made.message))


def since_live(message: str) -> str:
    """Without the lines of a schema that nobody has written."""
    return re.sub(rf"(?:since )?{LIVE}(?::\d+)?", "in this database already", message)


def certain(rule: Rule, look: Look, doubt: Doubt, server: Server) -> bool:
    """Whether what the rule claims of the statement is sure to come true here."""
    actions = [each for each in look.facts.actions if not rule.on or each.what in rule.on]
    tables = {about(each) for each in actions}
    match rule.code:
        case "TS024" | "TS028" | "TS030":
            loosened = {each for each, _ in doubt.changed} & DECOMPRESSES
            return bool(tables) and tables <= server.compressed and not loosened
        case "TS007":
            return not any(what in LOOSENS and table in tables for what, table in doubt.changed)
        case "TS012" | "TS071" | "TS072":
            return not any(map(may_be_guarded, actions))
        case "TS044":
            columns = [each for each in actions if each.what in ("alter type", "drop column")]
            rebuilds = server.preserves or look.file.migration.directive("rebuild")
            return not rebuilds and all((about(each), each.name) in server.read for each in columns)
        case "TS052":
            return not any("guarded" in each.flags and look.known.is_aggregate(each.table) for each in actions)
        case "TS073":
            buckets = [look.known.aggregates[each].bucket for each in tables if each in look.known.aggregates]
            return not any(re.search("mon|year|decade|cent", each, re.IGNORECASE) for each in buckets)
    return True


DECOMPRESSES = {"decompress_chunk", "convert_to_rowstore", "drop_chunks", "truncate", "detach_chunk", "move_chunk"}
LOOSENS = {"drop constraint", "drop column", "rename column", "drop index", "rename table", "set schema"}


def may_be_guarded(action: Action) -> bool:
    """Whether if_not_exists may be true in a call: written by place, or not as a constant."""
    given = action.arguments
    by_place = any(name.isdecimal() and value is True for name, value in given.items())
    return by_place or ("if_not_exists" in given and given["if_not_exists"] is None)
