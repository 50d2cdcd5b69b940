"""What the steps of an earlier run left in its session, for the steps that follow: settings and temporary objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.model import Statement, Step

TEMPORARY = "pg_temp"


def again(done: Sequence[Step]) -> Iterator[tuple[Step, list[Statement]]]:
    """For each step the statements to run once more, in its own transaction; they change the session alone.

    A bare name means the temporary table of that name when one was made before, as search_path has pg_temp first.
    What stands in a transaction that the file rolls back never came to be.
    """
    made: set[str] = set()
    for step in done:
        if step.rolled_back:
            continue
        statements = []
        for each in step.statements:
            if not each.runtime and (each.facts.session_only or changes_only(each, made)):
                made |= {item.name for item in each.facts.creates if item.schema == TEMPORARY and item.kind == "table"}
                statements.append(each)
        if statements:
            yield step, statements


def changes_only(statement: Statement, temporary: set[str]) -> bool:
    """True when it changes tables, and all that it changes are these."""
    facts = statement.facts
    changed = {lock.table for lock in facts.locks if lock.mode != "AccessShare"} | facts.writes
    return bool(changed) and all(table.removeprefix(f"{TEMPORARY}.") in temporary for table in changed)
