"""What makes a second run harmless: a guard in the statement, a check around it, a DROP … IF EXISTS before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import applied
from tidelock.core.lint.known import key, made_by, target
from tidelock.core.lint.rule import Remark
from tidelock.core.patterns import regex
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tidelock.core.action import Action
    from tidelock.core.lint.edit import Edit
    from tidelock.core.lint.look import Look

LOOKS = regex(r"\b(?:IF|EXCEPTION|CASE|LOOP)\b", re.IGNORECASE)
OWNED = ("trigger", "policy", "rule", "constraint", "column")
"""What has its name within a table."""
OPPOSITE = {
    "create table as": "drop table",
    "create aggregate": "drop materialized view",
    "create domain": "drop domain",
    "add column": "drop column",
    "add constraint": "drop constraint",
}


def checked(look: Look) -> bool:
    """Whether something around the statement decides if it runs: psql's \\if, or the code of a DO block."""
    return bool(look.statement.guards) or (look.facts.kind is Kind.CODE and LOOKS.search(look.text) is not None)


def removed_before(look: Look, call: Action) -> bool:
    """Whether the same DO block has removed the policy before that a call adds."""
    removal = made_by(call.name.rpartition(".")[2]).replace("add_", "remove_", 1)
    for each in look.actions("call"):
        if each is call:
            return False
        gone = made_by(each.name.rpartition(".")[2].replace("remove_", "add_", 1)).replace("add_", "remove_", 1)
        if each.name.rpartition(".")[2].startswith("remove_") and gone == removal and target(each) == target(call):
            return True
    return False


def identity(action: Action) -> tuple[str, str]:
    """What a thing is known by, for its CREATE and its DROP alike."""
    kind = action.what.partition(" ")[2]
    if kind in OWNED:
        name = action.constraint.name if action.constraint else action.name
        return key(action.table), name
    if action.what == "create index":
        schema = key(action.table).rpartition(".")[0]
        return (f"{schema}.{action.name}" if schema else action.name), ""
    return key(action.table or action.name), ""


def dropped_before(look: Look, action: Action) -> bool:
    """Whether the file drops it before, or the table that it is on: the CREATE makes it anew each time."""
    drop = OPPOSITE.get(action.what) or action.what.replace("create", "drop", 1)
    mine = identity(action)
    if any(identity(each) == mine for each in look.done_before(drop)):
        return True
    return bool(action.table) and drop != "drop table" and is_fresh(look, action.table)


def is_fresh(look: Look, table: str) -> bool:
    """Whether the file drops the table before, so that it is made anew each time."""
    return any(key(each.table) == key(table) for each in look.done_before("drop table"))


def is_temporary(look: Look, table: str) -> bool:
    """Whether the table is one of the session: made in this file, and gone with the session."""
    if table.startswith("pg_temp."):
        return True
    made = look.done_before("create table", "create table as")
    return any("temporary" in each.flags and key(each.table) == key(table) for each in made)


def twice(look: Look, *what: str) -> Iterator[Action]:
    """What the statement does that nothing keeps from being done a second time, of these kinds."""
    for each in look.actions(*what):
        if each.flags & {"guarded", "replace", "temporary"} or checked(look):
            continue
        if not dropped_before(look, each) and not is_temporary(look, each.table):
            yield each


def mended(look: Look, found: Sequence[tuple[str, Edit | None]]) -> Iterator[Remark]:
    """Remarks on the parts of a statement; the statement rewritten has all of their changes."""
    edits = [edit for _, edit in found if edit]
    whole = applied(look.text, edits) if edits else ""
    for message, edit in found:
        yield Remark(message=message, rewrite=whole, edit=edit)


def sql_text(text: str) -> str:
    """A text constant."""
    return "'{}'".format(text.replace("'", "''"))


def in_do(condition: str, statement: str) -> str:
    """A statement in a DO block that looks first."""
    tag = "$$" if "$$" not in statement else "$do$"
    inner = "\n".join(f"        {line}" if line else "" for line in statement.strip().splitlines())
    return f"DO {tag}\nBEGIN\n    IF {condition} THEN\n{inner};\n    END IF;\nEND\n{tag};"


def no_constraint(table: str, name: str) -> str:
    """The condition under which a table has no constraint of that name."""
    relation = f"{sql_text(quoted(table))}::regclass"
    return f"NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = {relation} AND conname = {sql_text(name)})"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`; empty when there are none."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} and {last}" if first else last
