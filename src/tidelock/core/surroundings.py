"""What decides beside the file itself where it is cut: what earlier files, other runs and the database have left."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.patterns import regex
from tidelock.core.statement import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.statement import Facts, Script, Statement

    Alike = tuple[tuple[str, str], ...]

CHECKED = ("AccessExclusive", "ShareRowExclusive", "Share")
"""Locks of what wants a table's deferred checks made first."""
RENAMED = ("table", "materialized view", "function", "procedure")
SENT = regex(r"\s*(?:ALTER|CALL|CREATE|DO|DROP|REINDEX|SELECT|TRUNCATE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a cut depends on beside the file itself."""

    deferred: frozenset[str] = frozenset()
    """Bare names of tables with a constraint or trigger that is INITIALLY DEFERRED."""
    committing: frozenset[str] = frozenset()
    """Bare names of procedures that commit, so that no transaction may hold a CALL of them."""
    alike: Alike = ()
    """Bare names that may mean one thing, or one family of tables: renames, partitions with their parents."""
    bodies: dict[str, tuple[Facts, ...]] = field(default_factory=dict)
    """What the functions and procedures that the files have made do, by bare name."""

    def after(self, script: Script) -> Surroundings:
        """The surroundings that the next file finds."""
        found = self
        for each in script.statements:
            found = found.beyond(found.does(each))
        return found

    def does(self, statement: Statement) -> tuple[Facts, ...]:
        """What a statement does: itself, the functions that it calls, and the SQL that it has as texts and runs."""
        facts, sends = statement.facts, statement.ending is Ending.GEXEC
        if not (sends or facts.unread or (facts.strange and self.bodies)):
            return (facts,)
        found: list[Facts] = []
        fresh = [facts, *(sent(facts) if sends and not facts.unread else ())]
        while fresh:
            each = fresh.pop(0)
            if each not in found:
                found.append(each)
                fresh += sent(each) if each.unread else ()
                fresh += (body for name in each.strange for body in self.bodies.get(bare(name), ()))
        return tuple(found)

    def beyond(self, does: Sequence[Facts]) -> Surroundings:
        """The surroundings that the statement after one that does this finds."""
        found = self
        for facts in does:
            if facts.body is not None or facts.deferred or facts.renames or facts.parents:
                found = found.with_those_of(facts)
        return found

    def with_those_of(self, facts: Facts) -> Surroundings:
        """These, and what a statement adds to them."""
        names = [
            (one.name, other.name) for one, other in facts.renames if one.kind in RENAMED and one.name != other.name
        ]
        alike = (*names, *((bare(parent), bare(child)) for parent, child in facts.parents))
        bodies = {other: self.bodies[one] for one, other in names if one in self.bodies}
        committing = set()
        if facts.body is not None:
            made = facts.creates[0]
            if matters(facts.body):
                bodies[made.name] = (*self.bodies.get(made.name, ()), facts.body)
            if made.kind == "procedure" and (facts.body.alone or self.called([facts.body])):
                committing = {made.name}
        if not (alike or bodies or committing or facts.deferred):
            return self
        return self.and_those(
            Surroundings(
                deferred=frozenset(map(bare, facts.deferred)),
                committing=frozenset(committing),
                alike=alike,
                bodies=bodies,
            )
        )

    def called(self, does: Sequence[Facts]) -> list[str]:
        """The procedures that commit among those which a statement, or a body, calls."""
        if not self.committing:
            return []
        return sorted({name for each in does for name in map(bare, each.calls) if name in self.committing})

    def and_those(self, other: Surroundings) -> Surroundings:
        """These and what other files leave."""
        alike = self.alike + other.alike
        return Surroundings(
            deferred=joined(self.deferred, other.deferred, alike, other.alike),
            committing=joined(self.committing, other.committing, alike, other.alike),
            alike=alike,
            bodies=self.bodies | other.bodies if other.bodies else self.bodies,
        )


NONE = Surroundings()
"""Of a file that stands by itself."""


def sent(facts: Facts) -> Iterator[Facts]:
    """What the texts in a statement do that puts SQL together; of a text that is only a part, the first words tell."""
    from tidelock.core.facts import facts_of  # rare

    return (facts_of(text) for text in sorted(facts.literals) if SENT.match(text))


def matters(body: Facts) -> bool:
    """True when a call of it may decide where a file is cut; what only reads may not."""
    changes = body.creates or body.alters or body.drops or body.writes or body.strange or body.unread
    return bool(changes or any(each.mode in CHECKED for each in body.locks))


def joined(names: frozenset[str], more: frozenset[str], alike: Alike, new: Alike) -> frozenset[str]:
    """The names, more of them, and those that may mean the same; `new` is what of `alike` may not be in `names` yet."""
    fresh = (more | {each for pair in new if not names.isdisjoint(pair) for each in pair}) - names
    while fresh:
        names |= fresh
        fresh = frozenset([each for one in alike if one[0] in fresh or one[1] in fresh for each in one]) - names
    return names


def bare(name: str) -> str:
    """A name without its schema."""
    return name.rpartition(".")[2]
