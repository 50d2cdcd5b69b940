"""What `-- BREAKING: why` allows: how the rules of destruction are registered, and what they all ask."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tidelock.core.lint.guards import OWNED, is_temporary
from tidelock.core.lint.known import key, meant
from tidelock.core.lint.rule import rule
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look
    from tidelock.core.lint.rule import Remarks
    from tidelock.core.report import Severity
    from tidelock.core.statement import Object, Statement

MEANT = "; where it is meant, say so in the file: -- BREAKING: why"


def destructive(
    code: str, title: str, severity: Severity, *, why: str, fix: str, on: tuple[str, ...] = ()
) -> Callable[[Callable[[Look], Remarks]], Callable[[Look], Remarks]]:
    """Register a rule that is silent in a file which says `-- BREAKING: why`."""

    def register(check: Callable[[Look], Remarks]) -> Callable[[Look], Remarks]:
        def asked(look: Look) -> Remarks:
            return () if look.breaking else check(look)

        functools.update_wrapper(asked, check)
        rule(code, title, severity, why=why, fix=fix + MEANT, on=on)(asked)
        return check

    return register


def is_own(look: Look, table: str) -> bool:
    """The file itself has made the table, so that nobody uses it yet."""
    return look.is_new(table) or is_temporary(look, table)


def made_before(look: Look, action: Action) -> bool:
    """The file itself has made what it drops."""
    return _makes(look.earlier, action)


def made_again(look: Look, action: Action) -> bool:
    """The file makes it again after it has dropped it."""
    first = look.number if look.facts.kind is Kind.CODE else look.number + 1
    return _makes(look.file.statements[first:], action)


def _makes(statements: Iterable[Statement], action: Action) -> bool:
    kind = action.what.partition(" ")[2]
    kinds = {"procedure": ("procedure", "function"), "view": ("view", "table")}.get(kind, (kind,))
    mine = (key(action.table), action.name) if kind in OWNED else (key(action.table or action.name), "")
    return any(
        made.kind in kinds and _identity(made) == mine for statement in statements for made in statement.facts.creates
    )


def _identity(made: Object) -> tuple[str, str]:
    if made.kind in OWNED:
        return key(made.parent), made.name
    return key(made.qualified), ""


def added_here(look: Look, table: str, column: str) -> bool:
    """The file itself has added the column."""
    added = look.done_before("add column")
    return any(each.name == column and key(each.table) == key(table) for each in added)


def rebuilt_here(look: Look, name: str) -> bool:
    """`-- tidelock: rebuild NAME` stands in the file: its history stays, and what hangs on it comes back."""
    return any(each.name == "rebuild" and meant(each) == key(name) for each in look.file.migration.directives)


def dependents(look: Look, table: str) -> Iterator[str]:
    """What the files know to hang on a table: views that read it, foreign keys that point to it."""
    for name in look.known.readers(table):
        yield f"the view {name}"
    for each in look.known.tables.values():
        for one in each.constraints:
            if one.references and key(one.references) == key(table) and each.name != key(table):
                yield f"the foreign key of {each.name} ({', '.join(one.columns)})"
