"""What the steps of an earlier run left in its session, for the steps that follow: settings and temporary objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.statement import Kind
from tidelock.core.steps import bare
from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

TEMPORARY = "pg_temp"
READS = ("AccessShare", "RowShare")
KEEPS_ROWS = (*READS, "Share", "ShareUpdateExclusive")
"""Locks of what leaves a table's rows as they are: building an index, VACUUM."""


class TemporaryGone(LedgerFault):
    """A temporary table held what cannot be had again, and the rest of the file wants it."""

    code = "L021"

    def __init__(self, migration: Migration, table: str, filled: Statement, used: Statement) -> None:
        super().__init__(
            f"{migration.label} was cut off, and its temporary table {table} is gone with the session; "
            f"{filled.place} filled it with what cannot be had again, {used.place} uses it",
            hint=f"run the rest of the file by hand, then `tidelock adopt --up-to {migration.version}`; "
            "next time keep it in an ordinary table and drop that at the end",
            detail=f"filled by  {filled.text}\nused by    {used.text}",
        )


def again(done: Sequence[Step]) -> Iterator[tuple[Step, list[Statement]]]:
    """For each step the statements to run once more, in its own transaction; they change the session alone.

    What stands in a transaction that the file rolls back never came to be.
    """
    made: set[str] = set()
    for step in done:
        kept = [] if step.rolled_back else [each for each in step.statements if not step.in_vain(each)]
        statements = [each for each in kept if replayed(each, made)]
        if statements:
            yield step, statements


def replayed(statement: Statement, made: set[str]) -> bool:
    """True when it changes the session alone. `made` are the temporary tables so far; its own are added.

    A bare name means the temporary table of that name when one was made before, as search_path has pg_temp first.
    """
    facts = statement.facts
    made |= {each.name for each in facts.creates if each.schema == TEMPORARY and each.kind == "table"}
    return not statement.runtime and (facts.session_only or (bool(changed(statement)) and changed(statement) <= made))


def changed(statement: Statement, *, but: Sequence[str] = READS) -> set[str]:
    """Bare names of the tables that it changes: writes to, or locks in another mode than these."""
    facts = statement.facts
    names = {lock.table for lock in facts.locks if lock.mode not in but} | facts.writes
    return {bare(name) for name in names}


def read(statement: Statement) -> set[str]:
    """Bare names of the tables that it reads."""
    return {bare(lock.table) for lock in statement.facts.locks if lock.mode in READS}


def check(migration: Migration, done: Sequence[Step], left: Sequence[Step]) -> None:
    """Refuse when the rest of the file uses a temporary table whose rows running its statements again may not give.

    They read a table that the file has changed since, or nobody knows what they did to it.
    """
    made: set[str] = set()
    before = [each for step in done if not step.rolled_back for each in step.statements]
    for index, statement in enumerate(before):
        again = replayed(statement, made)
        later = set[str]().union(*(changed(each, but=KEEPS_ROWS) for each in before[index + 1 :])) - made
        for table in sorted(touched(statement, made) if not again or read(statement) & later else ()):
            for each in (each for step in left for each in step.statements):
                if mentions(each, table):
                    raise TemporaryGone(migration, table, statement, each)


def touched(statement: Statement, made: set[str]) -> set[str]:
    """The temporary tables that it fills or changes, or may."""
    facts = statement.facts
    own = {each.name for each in facts.creates if each.schema == TEMPORARY}
    if statement.runtime or facts.kind in (Kind.CODE, Kind.UNKNOWN):
        own |= {table for table in made if mentions(statement, table)}
    return own | changed(statement) & made


def mentions(statement: Statement, table: str) -> bool:
    """Its text has the name as a word."""
    return re.search(rf"(?<![\w$]){re.escape(table)}(?![\w$])", statement.text, re.IGNORECASE) is not None
