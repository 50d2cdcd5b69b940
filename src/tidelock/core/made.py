"""What a plan made by itself, statement by statement: nobody's loss. A name counts only where it means the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock.core.facts.functions import harmless
from tidelock.core.statement import Kind, Object

if TYPE_CHECKING:
    from tidelock.core.statement import Facts, Statement

RELATIONS = ("table", "materialized view", "aggregate", "sequence")
ROUTINES = ("function", "procedure")
PATH = ("search_path", "role", "all")
"""Settings that say which table an unqualified name means."""

Key = tuple[str, object, str]
"""Family, schema (or the settings under which a name without one was used), name."""


@dataclass(slots=True)
class Made:
    """What is the plan's own so far, what its functions do, and the calls that wait in triggers, defaults and views."""

    names: set[Key] = field(default_factory=set)
    bodies: dict[Key, list[Facts]] = field(default_factory=dict)
    waiting: dict[Key, list[tuple[frozenset[str], frozenset[str]]]] = field(default_factory=dict)
    """Of a relation: (verbs, calls that they set off)."""
    session: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether a relation is the plan's own. Temporary ones come first on every search_path."""
        return bool(self.names & self.keys(_relation(name)))

    def owns(self, thing: Object) -> bool:
        """Whether an object is the plan's own, or a column of its own table."""
        return bool(self.names & self.keys(thing)) or (thing.kind == "column" and self.has(thing.parent))

    def does(self, routine: str) -> list[Facts]:
        """What a call does; empty when its body is not in the plan."""
        return self.bodies.get(self.key(_object("function", routine)), [])

    def elsewhere(self) -> Made:
        """The same, seen by a function with a search_path of its own."""
        return replace(self, session={"search_path": "a function's own"}, local={})

    def set_off(self, facts: Facts) -> frozenset[str]:
        """The calls that a statement sets off in what the plan made, and does not name."""
        if facts.kind is Kind.DDL and facts.command not in FROM_QUERIES:
            return frozenset()
        verbs = VERBS if facts.changes else {"INSERT"}
        found = [(each, verbs) for each in facts.writes] + [(each.table, {"SELECT"}) for each in facts.locks]
        calls: set[str] = set()
        for table, done in found:
            for fired_by, names in self.waiting.get(self.key(_relation(table)), ()):
                calls |= names if fired_by & done else set()
        return frozenset(calls)

    def learn(self, statement: Statement) -> None:
        """Take in a statement that has run. What may not have run, or not for good, made nothing."""
        facts = statement.facts
        self.settings(statement)
        if "ROLLBACK" in facts.command:
            self.names.clear()
            self.bodies.clear()
        for routine in facts.strange | self.set_off(facts):
            for body in self.does(routine):
                self.forget(body)
        if statement.runtime or facts.kind is Kind.CODE:
            self.forget(facts)
            return
        for thing in facts.drops:
            self.lose(thing)
        for before, after in facts.renames:
            self.rename(before, after)
        if not facts.guarded:
            self.names |= {self.key(thing) for thing in facts.creates if _family(thing.kind)}
            self.names |= {self.key(_relation(each)) for each in facts.sequences}
        for one, other in facts.binds:
            if not self.has(other):
                self.lose(_relation(one))
        self.keep_code(facts)

    def keep_code(self, facts: Facts) -> None:
        """What runs later: bodies, triggers, rules, defaults, checks and views."""
        for thing in facts.creates[:1]:
            if thing.kind in ROUTINES and facts.body is not None:
                self.bodies.setdefault(self.key(thing), []).append(facts.body)
        calls = frozenset(each for each in facts.calls if not harmless(each.split(".")))
        of = next((each.parent or each.qualified for each in facts.creates), "")
        if facts.command == "CREATE VIEW":
            inner = [
                names for each in facts.locks for _, names in self.waiting.get(self.key(_relation(each.table)), ())
            ]
            calls, verbs = calls.union(*inner), VERBS | {"SELECT"}
        elif facts.command == "CREATE RULE":
            calls, verbs = frozenset({"a rule"}), VERBS | {"SELECT"}
        else:
            verbs = facts.fires or frozenset({"INSERT", "UPDATE", "MERGE"})
        if calls and of:
            self.waiting.setdefault(self.key(_relation(of)), []).append((verbs, calls))

    def forget(self, facts: Facts) -> None:
        """What may have happened, in an order that nobody knows: names in it are the plan's own no more."""
        for thing in facts.drops:
            self.lose(thing)
        for before, after in facts.renames:
            self.lose(before)
            self.lose(after)
            self.lose(Object("schema", after.schema))
        for one, _ in facts.binds:
            self.lose(_relation(one))

    def rename(self, before: Object, after: Object) -> None:
        """A new name, or another schema: who had either name has it no more."""
        own = bool(self.names & self.keys(before))
        if before.kind == "schema":
            self.names.clear()
        if after.schema != before.schema and not own:
            self.lose(Object("schema", after.schema))
        waiting = self.waiting.pop(self.key(before), [])
        self.lose(before)
        self.lose(after)
        if own:
            self.names.add(self.key(after))
        if waiting:
            self.waiting[self.key(after)] = waiting

    def lose(self, thing: Object) -> None:
        """A name means nothing any more, or something else."""
        self.names -= self.keys(thing)
        self.bodies.pop(self.key(thing), None)
        if thing.kind == "schema":
            self.names = {each for each in self.names if each[1] != thing.name}
        if thing.kind in RELATIONS:
            self.names = {each for each in self.names if each[0] != "column" or each[1] != self.key(thing)}

    def settings(self, statement: Statement) -> None:
        """What an unqualified name means, by the text that set it: the same text means the same."""
        facts = statement.facts
        called = any(each.rpartition(".")[2] == "set_config" for each in facts.calls)
        if facts.kind in (Kind.COMMIT, Kind.ROLLBACK):
            self.local.clear()
        if "ROLLBACK" in facts.command or called or (facts.kind is Kind.CODE and facts.keeps.endswith(PATH)):
            if not called or not facts.literals or facts.literals & {*PATH, "session_authorization"}:
                self.session["search_path"] = f"{statement.text} {statement.place}"
        elif facts.command == "RESET" or facts.command.startswith("DISCARD"):
            for each in PATH if facts.sets in ("", "all") else (facts.sets,):
                self.session.pop(each, None)
        elif facts.sets in PATH and facts.kind is Kind.SESSION:
            settings = self.local if "LOCAL" in facts.command else self.session
            settings[facts.sets] = " ".join(statement.text.lower().replace("=", " to ").split())

    def key(self, thing: Object) -> Key:
        """What an object is known by."""
        if thing.kind == "column":
            return ("column", self.key(_relation(thing.parent)), thing.name)
        family = _family(thing.kind)
        if family in ("schema", "extension", "database"):
            return (family, "", thing.name)
        return (family, thing.schema or (*self.session.items(), "local", *self.local.items()), thing.name)

    def keys(self, thing: Object) -> set[Key]:
        """Those that an object may be known by."""
        return {self.key(thing), *([(_family(thing.kind), "pg_temp", thing.name)] if not thing.schema else [])}


VERBS = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE", "MERGE"})
FROM_QUERIES = ("CREATE TABLE AS", "CREATE MATERIALIZED VIEW", "SELECT INTO")


def _family(kind: str) -> str:
    """Kinds whose names cannot be the same; empty for those that hold nothing."""
    if kind in RELATIONS:
        return "relation"
    if kind in ROUTINES:
        return "routine"
    return (
        "type"
        if kind == "domain"
        else kind
        if kind in ("type", "view", "schema", "extension", "database", "column")
        else ""
    )


def _relation(name: str) -> Object:
    return _object("table", name)


def _object(kind: str, name: str) -> Object:
    schema, _, bare = name.rpartition(".")
    return Object(kind, bare, schema)
