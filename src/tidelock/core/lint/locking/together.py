"""What stands in one transaction: locks are held until its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import lines
from tidelock.core.lint.known import key
from tidelock.core.lint.locking.use import changes, fresh, of_all_rows
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look
    from tidelock.core.statement import Lock, Statement

ORDERED = ("AccessExclusive", "ShareRowExclusive", "Exclusive")
"""Locks of which two sessions that take them in another order wait for each other."""


def held(look: Look, statement: Statement, modes: tuple[str, ...]) -> Iterator[Lock]:
    """The locks of such a mode that a statement takes on tables that others use."""
    for each in statement.facts.locks:
        if each.mode in modes and key(each.table) not in look.known.indexes and not fresh(look, each.table):
            yield each


# --- E4 --------------------------------------------------------------------------------------------------------------


def takes_time(look: Look) -> str:
    """What a statement does that lasts longer the more rows there are; empty for what only changes the catalog."""
    for each in look.facts.actions:
        what = LASTING.get(each.what)
        if what and _lasts(each) and not fresh(look, each.table):
            return f"{what} {each.table}"
    if look.facts.kind is Kind.COPY and any(not fresh(look, each) for each in look.facts.writes):
        return f"COPY into {', '.join(sorted(look.facts.writes))}"
    if look.facts.kind is not Kind.QUERY or look.facts.actions:
        return ""
    reads = [each.table for each in look.facts.locks if not fresh(look, each.table)]
    return f"a query of {', '.join(reads)}" if reads else ""


LASTING = {
    "update": "an UPDATE of",
    "delete": "a DELETE from",
    "insert": "an INSERT … SELECT into",
    "create index": "an index build on",
    "refresh materialized view": "a REFRESH of",
}


def _lasts(action: Action) -> bool:
    if action.what == "insert":
        return "select" in action.flags
    if action.what == "create index":
        return "concurrently" not in action.flags
    return action.what != "refresh materialized view" or "with data" in action.flags


@rule(
    "LK040",
    "a long statement while a table is locked against reads and writes",
    Severity.WARNING,
    why="A file is one transaction, and what an ALTER TABLE has locked stays locked until all of it is done: nobody "
    "reads or writes that table while a later UPDATE, index build or query goes over rows.",
    fix="put the statement into the next file, or before the one that locks",
    on=tuple(LASTING),
    kinds=(Kind.COPY, Kind.QUERY),
)
def long_while_locked(look: Look) -> Iterator[str]:
    """A statement that goes over rows, after an AccessExclusive lock."""
    what = takes_time(look)
    if not what:
        return
    for before in look.together:
        if locks := sorted(each.table for each in held(look, before, ("AccessExclusive",))):
            yield (
                f"nobody reads or writes {', '.join(locks)}, locked since line {before.place.line} "
                f"({before.facts.command}), until {what} is done"
            )
            return


@rule(
    "LK041",
    "several tables are locked one after the other",
    Severity.NOTE,
    why="The transaction holds the first while it waits for the second. A session that uses them in the other order "
    "waits for this one, and this one for it: one of them is thrown out (40P01).",
    fix="give each table a file of its own",
)
def several_tables(look: Look) -> Iterator[str]:
    """The statement that locks a second table that others use, in one transaction."""
    mine = {key(each.table) for each in held(look, look.statement, ORDERED)}
    first: set[str] = set()
    for before in look.together if mine else ():
        now = {key(each.table) for each in held(look, before, ORDERED)}
        if first and now - first:
            return  # an earlier statement has been told
        first |= now
    if first and mine - first:
        yield f"{', '.join(sorted(first))} stays locked while this waits for {', '.join(sorted(mine - first))}"


# --- W12 -------------------------------------------------------------------------------------------------------------

IDENTIFIER = r'(?:"(?:[^"]|"")+"|[\w$]+)'
ALTER = regex(
    rf"\s*ALTER\s+TABLE\s+(?P<table>(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{IDENTIFIER}(?:\s*\.\s*{IDENTIFIER})?)\s+(?P<parts>(?!RENAME\b|SET\s+SCHEMA\b).+)",
    re.IGNORECASE | re.DOTALL,
)
APART = frozenset(("validate constraint", "attach partition", "detach partition"))
"""What is refused in one statement with others, or better stands alone."""
UNPROVED = {"set not null", "drop constraint"}
"""In one statement the CHECK is dropped before it can prove anything, and all rows are read."""


@rule(
    "LK042",
    "several ALTER TABLE of one table, where one would do",
    Severity.NOTE,
    why="Each is planned, locked and logged by itself; and where two of them go over the rows, one statement does so "
    "once.",
    fix="put the parts into one ALTER TABLE, with commas between them",
    kinds=(Kind.DDL,),
)
def several_alters(look: Look) -> Iterator[Remark]:
    """ALTER TABLE right behind another one of the same table."""
    if not look.facts.command.startswith("ALTER TABLE"):
        return
    before = next(reversed(look.together), None)
    if before is None or not before.facts.command.startswith("ALTER TABLE"):
        return
    mine, first = ALTER.fullmatch(look.text), ALTER.fullmatch(before.text)
    if mine is None or first is None or mine["table"].lower() != first["table"].lower():
        return
    what = {each.what for each in (*before.facts.actions, *look.facts.actions)}
    if what & APART or what >= UNPROVED:
        return
    if any(changes(look, *what)):
        table = look.facts.actions[0].table
        plain = not any("--" in each or "/*" in each for each in (before.text, look.text))
        yield Remark(
            message=f"{table} is altered by the statement before this one too, at line {before.place.line}",
            rewrite=lines(f"ALTER TABLE {mine['table']}\n    {first['parts'].strip()},\n    {mine['parts'].strip()}")
            if plain and not before.runtime and not look.statement.runtime
            else "",
        )


@rule(
    "LK043",
    "every row of a table is changed in one transaction",
    Severity.WARNING,
    why="Each row stays locked until the transaction ends, and whoever wants to write to one waits so long; the dead "
    "versions of all rows stay in the table until a VACUUM after it.",
    fix="change the rows in batches by key, each UPDATE a statement of its own in a file with "
    "`-- tidelock: no-transaction`: cut off, such a file goes on where it stopped. A loop that commits, in a DO block "
    "or a procedure, leaves open how far it came: `apply` then asks (L020), and `prove` wants `-- tidelock: allow "
    "P004: why`. For DELETE of everything TRUNCATE is quicker, if the lock is bearable",
    on=("update", "delete"),
)
def every_row(look: Look) -> Iterator[str]:
    """UPDATE or DELETE without a WHERE that leaves rows out."""
    for each in look.actions("update", "delete"):
        if of_all_rows(look, each) and not fresh(look, each.table):
            yield f"every row of {each.table} is locked until the whole {each.what.upper()} is committed"
