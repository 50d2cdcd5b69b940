"""The text of one statement → Facts. The only entry."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from tidelock.core import parser
from tidelock.core.facts import code, indexes, objects, queries, sessions, tables, upkeep
from tidelock.core.facts.draft import Draft
from tidelock.core.facts.tree import unwrap
from tidelock.core.model import Facts, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.parser import Node


def facts_of(text: str) -> Facts:
    """What planner, linter and recovery need to know of one statement. Never raises.

    A text that the parser cannot read, or whose kind is not known here, is UNKNOWN: it may do anything.
    """
    try:
        statements = parser.parse(text)
    except parser.Unreadable:
        return _unreadable(text)
    if len(statements) == 1:
        return _facts(statements[0], text)
    return _several([_facts(each) for each in statements])


def _facts(statement: Node, text: str = "") -> Facts:
    kind, body = unwrap(statement)
    draft = Draft(text=text)
    handler = HANDLERS.get(kind)
    if handler is None:
        return Facts(command=kind.removesuffix("Stmt"))
    handler(draft, body)
    return draft.finish()


def _several(found: list[Facts]) -> Facts:
    """Several statements in one text (a function's body, psql's `\\;`): all of what each does."""
    if not found:
        return Facts(kind=Kind.QUERY, session=False, rerunnable=True)
    draft = Draft(kind=Kind.UNKNOWN, command="; ".join(each.command for each in found))
    for each in found:
        draft.merge(each)
    draft.rerunnable = all(each.rerunnable and not (each.creates or each.drops or each.alters) for each in found)
    return draft.finish()


HANDLERS: dict[str, Callable[[Draft, Node], None]] = {
    **queries.HANDLERS,
    **tables.HANDLERS,
    **indexes.HANDLERS,
    **objects.HANDLERS,
    **sessions.HANDLERS,
    **upkeep.HANDLERS,
    "CallStmt": code.call,
    "DoStmt": partial(code.do, read=facts_of),
    "CreateFunctionStmt": partial(code.create_function, read=facts_of),
}

_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_WORDS = re.compile(rf"{_SPACE}*([A-Za-z]+)(?:{_SPACE}+([A-Za-z]+))?(?:{_SPACE}+([A-Za-z]+))?", re.DOTALL)
_ALONE = {
    "VACUUM",
    "CREATE DATABASE",
    "DROP DATABASE",
    "CREATE TABLESPACE",
    "DROP TABLESPACE",
    "ALTER SYSTEM",
    "CREATE INDEX CONCURRENTLY",
    "DROP INDEX CONCURRENTLY",
}


def _unreadable(text: str) -> Facts:
    """UNKNOWN, with the help that the first words give for certain."""
    match = _WORDS.match(text)
    words = [each.upper() for each in match.groups() if each] if match else []
    if words[:2] == ["CREATE", "UNIQUE"]:
        words = [
            "CREATE",
            *words[2:],
            *(["CONCURRENTLY"] if re.search(r"\bINDEX\s+CONCURRENTLY\b", text, re.I) else []),
        ]
    for length in (3, 2, 1):
        if (command := " ".join(words[:length])) in _ALONE:
            return Facts(
                command=command,
                alone=f"{command} cannot run inside a transaction block",
                external=command in ("ALTER SYSTEM", "CREATE TABLESPACE", "DROP TABLESPACE"),
            )
    return Facts(command=" ".join(words[: 1 if len(words) < 2 or words[0] not in _TWO_WORDS else 2]))


_TWO_WORDS = frozenset({"CREATE", "ALTER", "DROP", "COMMENT", "REFRESH", "SET"})
