"""The text of one statement → Facts. The only entry."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

from tidelock.core import parser
from tidelock.core.facts import code, indexes, objects, queries, sessions, tables, upkeep
from tidelock.core.facts.draft import Draft
from tidelock.core.facts.tree import unwrap
from tidelock.core.patterns import regex
from tidelock.core.statement import Facts, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidelock.core.action import Action
    from tidelock.core.parser import Node


@lru_cache(maxsize=4096)  # BEGIN, RETURN NEW, now(): what files and bodies say again and again
def facts_of(text: str, *, detailed: bool = False) -> Facts:
    """What planner, linter and recovery need to know of one statement. Never raises.

    Only `detailed` facts have actions: the checks need them, and nobody else waits for them.

    A text that the parser cannot read, or whose kind is not known here, is UNKNOWN: it may do anything.
    """
    try:
        statements = parser.parse(text)
    except parser.Unreadable:
        return _unreadable(text)
    if len(statements) == 1:
        return _facts(statements[0], text, detailed=detailed)
    return _several([_facts(each, detailed=detailed) for each in statements])


def facts_sent_on(text: str) -> Facts:
    """What \\gexec does with the results of a query, as far as that can be known."""
    return code.sent_on(text, facts_of)


def transaction_control(text: str) -> str | None:
    """The first BEGIN, COMMIT, ROLLBACK or PREPARE TRANSACTION of a text. Empty: none; None: it cannot be read."""
    try:
        found = [_facts(each) for each in parser.parse(text) if "TransactionStmt" in each]
    except parser.Unreadable:
        return None
    return next((each.command for each in found if each.kind is not Kind.SAVEPOINT), "")


def facts_in(file: str, *, detailed: bool = False) -> Callable[[str], Facts]:
    """`facts_of` for the statements of a file, which are parsed together."""
    trees = parser.parse_file(file)

    def found(text: str) -> Facts:
        tree = trees.pop(text, None)
        return facts_of(text, detailed=detailed) if tree is None else _facts(tree, text, detailed=detailed)

    return found


def _facts(statement: Node, text: str = "", *, detailed: bool = False) -> Facts:
    kind, body = unwrap(statement)
    draft = Draft(text=text, detailed=detailed)
    handler = HANDLERS.get(kind)
    if handler is None:
        return Facts(command=kind.removesuffix("Stmt"))
    handler(draft, body)
    if detailed and (actions := _reader_of_actions(kind)):
        draft.actions[:0] = actions(body)
    return draft.finish()


@cache
def _reader_of_actions(kind: str) -> Callable[[Node], Iterable[Action]] | None:
    """What reads actions from such a statement, if anything does; imported for the checks alone."""
    from tidelock.core.facts.actions import READERS

    return READERS.get(kind)


def _several(found: list[Facts]) -> Facts:
    """Several statements in one text (a function's body, psql's `\\;`): all of what each does."""
    if not found:
        return Facts(kind=Kind.QUERY, session=False, rerunnable=True)
    draft = Draft(kind=Kind.UNKNOWN, command="; ".join(each.command for each in found))
    for each in found:
        draft.merge(each)
    draft.rerunnable = all(each.rerunnable and not (each.creates or each.drops or each.alters) for each in found)
    return draft.finish()


def _create_schema(draft: Draft, node: Node) -> None:
    """CREATE SCHEMA with the statements in it, whose objects go into that schema."""
    objects.create_schema(draft, node)
    schema = draft.creates[0].name
    for each in node.get("schemaElts", ()):
        inner = _facts(each, detailed=draft.detailed)
        draft.merge(replace(inner, creates=tuple(replace(made, schema=schema) for made in inner.creates)))


HANDLERS: dict[str, Callable[[Draft, Node], None]] = {
    **queries.HANDLERS,
    **tables.HANDLERS,
    **indexes.HANDLERS,
    **objects.HANDLERS,
    **sessions.HANDLERS,
    **upkeep.HANDLERS,
    "CallStmt": code.call,
    "DoStmt": partial(code.do, read=facts_of),
    "CreateSchemaStmt": _create_schema,
    "CreateFunctionStmt": partial(code.create_function, read=facts_of),
}

_WORD = regex(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
_NOISE = frozenset({"OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE"})
_VERBS = frozenset({"CREATE", "ALTER", "DROP", "REFRESH"})
_ALONE = regex(
    r"VACUUM|(?:CREATE|DROP) (?:DATABASE|TABLESPACE|INDEX CONCURRENTLY)|ALTER SYSTEM|REINDEX (?:SCHEMA|DATABASE|SYSTEM)"
)
_ADD_VALUE = regex(r"\bADD\s+VALUE\b", re.IGNORECASE)
_EXTERNAL = regex(r"ALTER SYSTEM|(?:CREATE|DROP) TABLESPACE")


def _unreadable(text: str) -> Facts:
    """UNKNOWN, with the help that the first words give for certain."""
    words = _first_words(text)
    command = " ".join(words[:2] if words[:1] and words[0] in _VERBS else words[:1])
    if command == "ALTER TYPE" and _ADD_VALUE.search(text):
        command = "ALTER TYPE … ADD VALUE"
    found = _ALONE.match(" ".join(words))
    if found is None:
        return Facts(command=command)
    return Facts(
        command=found[0],
        alone=f"{found[0]} cannot run inside a transaction block",
        external=_EXTERNAL.match(found[0]) is not None,
    )


def _first_words(text: str) -> list[str]:
    """Up to three key words, those left out that only qualify."""
    words: list[str] = []
    position = 0
    while len(words) < 3 and (match := _WORD.match(text, position)):
        position = match.end()
        if not words or match[1].upper() not in _NOISE:
            words.append(match[1].upper())
    return words
