"""Idempotence (ID): what fails or adds something when it is run a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.edit import insert_after, rewritten
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import Look


@rule(
    "ID001",
    "CREATE TABLE without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run, by hand after a crash or in a database that somebody has helped along, stops with 42P07.",
    fix="write CREATE TABLE IF NOT EXISTS",
)
def create_table(look: Look) -> Iterator[Remark]:
    """A table that nobody guards."""
    for each in look.actions("create table"):
        if "guarded" not in each.flags:
            edit = insert_after(look.text, "CREATE TABLE", " IF NOT EXISTS")
            yield Remark(
                message=f"a second run stops at {each.table}, which is there already",
                rewrite=rewritten(look.text, edit) if edit else "",
                edit=edit,
            )
