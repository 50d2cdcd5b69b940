"""What a plan destroys: from facts, not from words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.model import Place, Plan
    from tidelock.core.statement import Facts, Statement

NAMED = ("table", "column", "aggregate", "hypertable")
HOLDS_ROWS = (*NAMED, "schema", "materialized view", "database", "extension", "type")
TAKES_ROWS = ("TRUNCATE", "DELETE", "UPDATE", "MERGE")
CALLS_THAT_TAKE = ("drop_chunks", "merge_chunks", "detach_chunk", "refresh_continuous_aggregate")
UNREAD = "nobody knows what it does"


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
    made: set[str] = set()
    for planned in plan.pending:
        for step in planned.steps[planned.done :]:
            for each in step.statements:
                found += danger(each, made)
                made |= set(made_by(each.facts))
    return found


def made_by(facts: Facts) -> Iterator[str]:
    """What was not there before the statement, for certain: what IF NOT EXISTS names may have been, with its rows."""
    return (thing.qualified for thing in facts.creates if thing.kind in HOLDS_ROWS and not facts.guarded)


def danger(statement: Statement, made: set[str]) -> Iterator[Danger]:
    """What one statement takes away."""
    facts = statement.facts
    if statement.runtime or facts.kind is Kind.UNKNOWN or facts.unread or unknown_call(facts):
        yield Danger(statement.place, UNREAD, ())
        return
    for thing in facts.drops:
        owner = thing.parent or thing.qualified
        if thing.kind in HOLDS_ROWS and owner not in made:
            yield Danger(statement.place, f"drops {thing.kind} {thing.qualified}", (owner,) * (thing.kind in NAMED))
    if (verb := changes_rows(facts)) and (tables := tuple(sorted(facts.writes - made))):
        yield Danger(statement.place, f"{verb} {', '.join(tables)}", tables)
    for lock in facts.locks:
        if lock.rewrite and lock.table not in made and "TYPE" in facts.command:
            yield Danger(statement.place, f"rewrites {lock.table}", (lock.table,))


def unknown_call(facts: Facts) -> bool:
    """CALL of a procedure whose body is not before us."""
    return facts.kind is Kind.CODE and facts.command.startswith("CALL ")


def changes_rows(facts: Facts) -> str:
    """The word for what takes or changes rows that are there: a verb, or a function of TimescaleDB's.

    Of code, and of a query with further ones in its WITH, only the tables are known: it may do anything to them.
    """
    adds = facts.kind is Kind.DML and facts.command.startswith("INSERT") and len(facts.writes) < 2
    if not adds and facts.kind in (Kind.CODE, Kind.QUERY, Kind.DML) and not facts.command.startswith(TAKES_ROWS):
        return "may change rows of"
    verb = next((each for each in TAKES_ROWS if facts.command.startswith(each)), "")
    called = next((each for each in CALLS_THAT_TAKE if each in facts.calls), "")
    return {"TRUNCATE": "empties", "DELETE": "deletes from", "UPDATE": "updates", "MERGE": "changes"}.get(verb, "") or (
        f"{called} on" if called else ""
    )
