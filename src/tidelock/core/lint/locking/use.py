"""Which tables others use, and what a statement does to those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.known import key
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Constraint
    from tidelock.core.lint.known import Known
    from tidelock.core.lint.look import Look

STRONG = ("AccessExclusive", "ShareRowExclusive", "Exclusive", "Share")
"""Locks under which no row can be written."""


def fresh(look: Look, name: str) -> bool:
    """This file has made the table or view: nobody else can see it."""
    return look.is_new(name) or look.known.makers.get(key(name)) == look.path


def changes(look: Look, *what: str) -> Iterator[Action]:
    """What the statement does to tables that others use; views and indexes are none."""
    for each in look.actions(*what):
        if not fresh(look, each.table) and not each.flags & {"view", "index"} and not _is_there(look, each):
            yield each


def _is_there(look: Look, action: Action) -> bool:
    """ADD COLUMN IF NOT EXISTS of a column that an earlier file has added: nothing happens."""
    return "guarded" in action.flags and action.what == "add column" and exists(look.known, action.table, action.name)


def exists(known: Known, table: str, column: str) -> bool:
    """A file has made this column."""
    return known.column(table, column) is not None


def constraints(look: Look, *kinds: str) -> Iterator[tuple[Action, Constraint]]:
    """The constraints that a table gets which others use: by ADD CONSTRAINT, or beside ADD COLUMN."""
    for action in changes(look, "add constraint", "add column"):
        beside = action.column.constraints if action.column else ()
        for each in (action.constraint,) if action.constraint else beside:
            if each.kind in kinds:
                yield action, each


def is_timescale(look: Look, table: str) -> bool:
    """A hypertable or an aggregate: another family has the advice that works there."""
    return look.known.is_hypertable(table) or look.known.is_aggregate(table)


def has_columnstore(look: Look, table: str) -> bool:
    """A hypertable on which most changes are refused, or work in another way."""
    found = look.known.table(table)
    return found is not None and (found.columnstore or found.compressed)


def is_partitioned(look: Look, table: str) -> bool:
    """Whether a file has created it as PARTITION BY."""
    found = look.known.table(table)
    return found is not None and found.partitioned


def single(look: Look) -> bool:
    """The statement does one thing, and its text can be changed: it is no DO block, and nothing in it is open."""
    return len(look.facts.actions) == 1 and look.facts.kind is not Kind.CODE and not look.statement.runtime


def of_all_rows(look: Look, action: Action) -> bool:
    """An UPDATE or DELETE that leaves no row out."""
    column = action.options.get("not null", "")
    return "where" not in action.flags or (bool(column) and is_not_null(look, action.table, column) is True)


def is_not_null(look: Look, table: str, column: str) -> bool | None:
    """Whether a column is NOT NULL, by itself, by a primary key or by a valid CHECK; None when no file tells."""
    found = look.known.table(table)
    if found is None:
        return None
    for each in found.constraints:
        by_itself = each.kind in ("primary key", "not null") and column in each.columns
        if (by_itself or each.expression == column) and not each.not_valid:
            return True
    known = found.columns.get(column)
    if known is None:
        return None
    return known.not_null or known.serial or known.generated == "identity"
