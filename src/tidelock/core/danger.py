"""What a plan destroys: from facts, not from words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.made import Made
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.model import Place, Plan
    from tidelock.core.statement import Facts, Statement

NAMED = ("table", "column", "aggregate", "hypertable")
HOLDS_ROWS = (*NAMED, "schema", "materialized view", "database", "extension", "type", "domain", "sequence")
MAY_HOLD_UP_ROWS = ("other", "operator", "function", "procedure", "view")
"""Dependents of these may be columns or materialized views, which go with CASCADE."""
UNREAD = "nobody knows what it does"
WHOLE = ("sets", "restarts", "drops what is owned by")
"""What is lost with these is not the rows of the table that they name."""

Loss = tuple[str, tuple[str, ...]]
"""Why, and the tables."""


@dataclass(frozen=True, slots=True)
class Danger:
    """A statement that takes something away which the database had before the run."""

    place: Place
    why: str
    """`drops table readings`."""
    tables: tuple[str, ...]
    """Whose rows go or change, as written; empty when that is not known."""


def dangers(plan: Plan) -> list[Danger]:
    """Every one of a plan, in order. What the plan itself creates is nobody's loss."""
    found: list[Danger] = []
    made = Made()
    for planned in plan.pending:
        made.session.clear()
        for step in planned.steps[planned.done :]:
            made.local.clear()
            for each in step.statements:
                found += danger(each, made)
                made.learn(each)
    return found


def danger(statement: Statement, made: Made) -> Iterator[Danger]:
    """What one statement takes away."""
    if statement.runtime or not known(statement.facts):
        yield Danger(statement.place, UNREAD, ())
        return
    for why, tables in losses(statement.facts, made):
        yield Danger(statement.place, why, tables)


def known(facts: Facts) -> bool:
    """Whether all of what it does is before us, but for the functions that it calls."""
    return facts.kind is not Kind.UNKNOWN and not facts.unread


def losses(facts: Facts, made: Made, within: frozenset[str] = frozenset()) -> Iterator[Loss]:
    """What is lost by a statement, or by the body of a function that is called; `within`: calls that led here."""
    for thing in facts.drops:
        if (thing.kind in HOLDS_ROWS or (facts.cascade and thing.kind in MAY_HOLD_UP_ROWS)) and not made.owns(thing):
            yield f"drops {thing.kind} {thing.qualified}", (thing.parent or thing.qualified,) * (thing.kind in NAMED)
    if tables := tuple(sorted(each for each in facts.changes if not made.has(each))):
        yield f"{changing(facts)} {', '.join(tables)}", tables
    for what, name in sorted(facts.harms):
        if not made.has(name):
            yield f"{what} {name}".rstrip(), (name,) * (bool(name) and what not in WHOLE)
    for name in sorted((facts.strange | made.set_off(facts)) - within):
        bodies = made.does(name)
        if not bodies or not all(map(known, bodies)):
            yield f"calls {name}, and {UNREAD}", ()
        else:
            for body in bodies:
                yield from losses(body, made.elsewhere() if body.sets else made, within | {name})


def changing(facts: Facts) -> str:
    """The verb for what changes rows that are there. Of code, and of a query in a WITH, only the tables are known."""
    verb = facts.command.partition(" ")[0]
    alone = facts.kind is Kind.DML and (len(facts.writes) < 2 or verb == "TRUNCATE")
    return CHANGING[verb] if alone else "may change rows of"


CHANGING = {
    "TRUNCATE": "empties",
    "DELETE": "deletes from",
    "UPDATE": "updates",
    "MERGE": "changes",
    "INSERT": "may overwrite rows of",
}
