"""Hygiene (HY): names, numbers, secrets, rights, and what the checks themselves need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.rule import rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import Look


@rule(
    "HY000",
    "PostgreSQL's grammar refuses the statement",
    Severity.ERROR,
    why="The statement can never succeed, unless the server is of another version and knows syntax that PostgreSQL 18 "
    "does not. Nothing else is known of it: no other rule is asked.",
    fix="mend the statement at that place",
)
def syntax(look: Look) -> Iterator[str]:
    """Found by the engine, which has the parser's words."""
    del look
    return iter(())


@rule(
    "HY001",
    "an allowance that nothing needs",
    Severity.WARNING,
    why="`-- tidelock: allow CODE: reason` stays in the file when its reason has gone, and hides the next finding.",
    fix="take the line away",
)
def unused(look: Look) -> Iterator[str]:
    """Found by the engine, which knows what was allowed."""
    del look
    return iter(())
