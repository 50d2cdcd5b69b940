"""Texts that are put together while they run, as far as they are constant: EXECUTE of plpgsql, psql's \\gexec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core import parser
from tidelock.core.facts.tree import constant, every, strings, unwrap
from tidelock.core.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.core.parser import Node

OPEN = "…"
"""Stands for what is known only while it runs."""

Text = tuple[str, bool]
"""A text, and whether all of it is known."""


def text_of(expression: str, body: list[Node]) -> Text:
    """What an expression of a plpgsql body makes."""
    targets = _targets(f"SELECT {expression}")
    if len(targets) != 1:
        return OPEN, False
    if not any(key == "ColumnRef" for key, _ in every(targets[0])):
        return _made(targets[0], {})
    variables = _variables(body)
    given = [*dict.fromkeys(variables.get(_name(targets[0]), ()))]
    return ("; ".join(given), False) if len(given) > 1 else _made(targets[0], variables)


def _name(node: Node) -> str:
    """The name, where a node is one and nothing else."""
    return ".".join(strings(node.get("ColumnRef", {}).get("fields", ())))


def texts_in(query: str) -> Iterator[Text]:
    """What each column of a query makes."""
    for each in _targets(query):
        yield _made(each, {})


def _targets(query: str) -> list[Node]:
    try:
        tree = parser.parse(query)
    except parser.Unreadable:
        return []
    select = tree[0].get("SelectStmt", {}) if len(tree) == 1 else {}
    return [each["ResTarget"]["val"] for each in select.get("targetList", ()) if "val" in each["ResTarget"]]


def _made(node: Node, variables: Mapping[str, list[str]]) -> Text:
    if isinstance(value := constant(node), str):
        return value, True
    kind, body = unwrap(node)
    match kind:
        case "A_Expr" if strings(body.get("name", ())) == ["||"] and "lexpr" in body:
            (left, one), (right, other) = _made(body["lexpr"], variables), _made(body["rexpr"], variables)
            return left + right, one and other
        case "TypeCast" | "CollateClause":
            return _made(body["arg"], variables)
        case "FuncCall" if strings(body.get("funcname", ()))[-1:] == ["format"]:
            return _formatted([_made(each, variables) for each in body.get("args", ())])
        case "ColumnRef":
            known = [*dict.fromkeys(variables.get(_name(node), ()))]
            return (known[0], OPEN not in known[0]) if len(known) == 1 else (OPEN, False)
    return OPEN, False


_PLACE = regex(r"%(?:(?P<number>\d+)\$)?-?\d*(?P<kind>[sIL%])")


def _formatted(given: list[Text]) -> Text:
    """format() with what is known of its arguments."""
    if not given or not given[0][1]:
        return OPEN, False
    whole, at = True, 0

    def put(found: re.Match[str]) -> str:
        nonlocal whole, at
        if found["kind"] == "%":
            return "%"
        at = int(found["number"]) if found["number"] else at + 1
        text, known = given[at] if at < len(given) else (OPEN, False)
        whole &= known
        if not known or found["kind"] == "s":
            return text if known else OPEN
        mark = '"' if found["kind"] == "I" else "'"
        return mark + text.replace(mark, mark * 2) + mark

    return _PLACE.sub(put, given[0][0]), whole


def _variables(body: list[Node]) -> dict[str, list[str]]:
    """The variables of a body: each text that one is given, with … for what is open."""
    found: dict[str, list[str]] = {}
    for key, value in every(body):
        if key == "PLpgSQL_var" and "default_val" in value:
            _give(found, value.get("refname", ""), value["default_val"]["PLpgSQL_expr"].get("query", ""))
        elif key == "PLpgSQL_stmt_assign":
            name, _, text = value.get("expr", {}).get("PLpgSQL_expr", {}).get("query", "").partition("=")
            _give(found, name.rstrip(" :").lower(), text)
        elif key == "PLpgSQL_row":
            for each in value.get("fields", ()):
                found.setdefault(each.get("name", ""), []).append(OPEN)
    return found


def _give(found: dict[str, list[str]], name: str, expression: str) -> None:
    targets = _targets(f"SELECT {expression}")
    found.setdefault(name, []).append(_made(targets[0], {})[0] if len(targets) == 1 else OPEN)
