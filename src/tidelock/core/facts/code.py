"""DO, CALL and the bodies of functions: what their static SQL does."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tidelock.core import parser
from tidelock.core.facts import built, search, timescale
from tidelock.core.facts.draft import STRENGTH, Draft
from tidelock.core.facts.tree import every, named, strings
from tidelock.core.patterns import regex
from tidelock.core.statement import Facts, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action
    from tidelock.core.parser import Node

    Read = Callable[..., Facts]


def call(draft: Draft, node: Node) -> None:
    """CALL: a procedure may commit; whether a user's does is for the planner to find out, by `calls`."""
    function = node.get("funccall", {})
    names = strings(function.get("funcname", ()))
    draft.kind = Kind.CODE
    search.look(draft, {"FuncCall": function}, reads=True, literals=True)
    known = bool(names) and names[-1] in timescale.FUNCTIONS
    draft.command = names[-1] if known else f"CALL {'.'.join(names)}"
    draft.rerunnable = known and not draft.unrepeatable


def do(draft: Draft, node: Node, read: Read) -> None:
    """DO: all that its static SQL may do, control flow ignored. Rerunnable only when it does nothing but read."""
    given = {each["DefElem"]["defname"]: each["DefElem"].get("arg", {}) for each in node.get("args", ())}
    language = given.get("language", {}).get("String", {}).get("sval", "plpgsql")
    text = given.get("as", {}).get("String", {}).get("sval", "")
    draft.kind, draft.command = Kind.CODE, "DO"
    read = partial(read, detailed=draft.detailed)
    body = read_body(text, language, draft.text, read, detailed=draft.detailed)
    draft.merge(body)
    draft.rerunnable = body.rerunnable


def create_function(draft: Draft, node: Node, read: Read) -> None:
    """CREATE FUNCTION or PROCEDURE does nothing of what its body does; that is kept in `body`."""
    kind = "procedure" if node.get("is_procedure") else "function"
    read = partial(read, detailed=draft.detailed)
    draft.command = f"CREATE {kind.upper()}"
    draft.creates.append(named(kind, strings(node.get("funcname", ()))))
    draft.guarded = draft.rerunnable = bool(node.get("replace"))
    given = {each["DefElem"]["defname"]: each["DefElem"].get("arg", {}) for each in node.get("options", ())}
    if "sql_body" in node:
        draft.body = _atomic(node["sql_body"], detailed=draft.detailed)
        _analysed(draft, draft.body)
        _path(draft, given)
        return
    language = given.get("language", {}).get("String", {}).get("sval", "sql").lower()
    texts = strings(given.get("as", {}).get("List", {}).get("items", ()))
    if len(texts) == 1:
        draft.body = read_body(
            texts[0], language, draft.text, read, header=lambda: _header(node), detailed=draft.detailed
        )
        draft.actions += [each for each in draft.body.actions if each.what == UNREADABLE]
        if language == "sql":
            _analysed(draft, draft.body)
        _path(draft, given)


def _path(draft: Draft, given: dict[str, Node]) -> None:
    """Names in a function with settings of its own may mean other tables than outside."""
    if "set" in given and draft.body is not None:
        draft.body = replace(draft.body, sets="search_path")


def _analysed(draft: Draft, body: Facts) -> None:
    """A body in SQL is analysed when it is created: the locks of that stay until COMMIT, as those of a view do."""
    for each in body.locks:
        if STRENGTH[each.mode] <= STRENGTH["RowExclusive"]:
            draft.lock(each.table, each.mode)


def read_body(
    text: str,
    language: str,
    whole: str,
    read: Read,
    header: Callable[[], str] = lambda: "DO",
    *,
    detailed: bool = False,
) -> Facts:
    """What a body in plpgsql or sql does; other languages may do anything.

    `whole` is the statement that the body stands in; `header` makes what stands before the body in a simpler one.
    """
    if language == "plpgsql":
        simpler = lambda: f"{header()} {_quoted(_DECLARATIONS.sub(_simpler, text))}"  # noqa: E731 - made when needed
        return _plpgsql(whole, simpler, read, detailed=detailed)
    if language == "sql":
        found = read(text)
        if detailed and found.kind is Kind.UNKNOWN and (why := refusal(text)):
            found = replace(found, actions=(*found.actions, _act(UNREADABLE, why)))
        several = ";" in found.command and not found.unread
        return replace(found, kind=Kind.CODE) if several else found
    return Facts(kind=Kind.UNKNOWN, command=f"LANGUAGE {language}")


def _atomic(tree: Any, *, detailed: bool) -> Facts:
    """A BEGIN ATOMIC body, which the parser reads as part of the statement."""
    draft = Draft(kind=Kind.CODE, detailed=detailed)
    search.look(draft, tree, reads=True, literals=True)
    draft.rerunnable = not (draft.writes or draft.unrepeatable)
    return draft.finish()


_COMMITTING = regex(r"\b(COMMIT|ROLLBACK)\b\s*(?:AND\s+(?:NO\s+)?CHAIN\s*)?;", re.IGNORECASE)
_DECLARATIONS = regex(r"\bDECLARE\b.*?\bBEGIN\b", re.IGNORECASE | re.DOTALL)
_UNKNOWN_TYPES = (
    (regex(r'[\w."]+\s*%\s*ROWTYPE\b', re.IGNORECASE), "record"),
    (regex(r'(?<=\s)(?:\w+|"[^"]+")\.(\w+|"[^"]+")(?=\s*(?:[\[;:=]|NOT\b|DEFAULT\b))', re.IGNORECASE), r"\1"),
    (regex(r'(?<=\s)(?:\w+|"[^"]+")\s*\[\d*\]'), "text[]"),
)
"""The parser has no catalog: it refuses types in a schema, arrays of types and fields of rows that it does not know."""


UNREADABLE, BUILT = "unreadable", "execute"
"""Actions: a body, or a statement in it, that no server takes; EXECUTE of what is put together while it runs."""


def _act(what: str, name: str) -> Action:
    from tidelock.core.action import Action  # for the checks alone

    return Action(what=what, name=name)


def refusal(text: str) -> str:
    """Why the parser refuses a text; empty when it does not."""
    try:
        parser.parse(text)
    except parser.Unreadable as error:
        return error.message
    return ""


def _functions(whole: str, simpler: Callable[[], str]) -> tuple[list[Node], str]:
    """The bodies in the first form of a statement that the parser takes; else why it takes neither."""
    try:
        return parser.parse_plpgsql(whole), ""
    except parser.Unreadable:
        pass
    try:
        return parser.parse_plpgsql(simpler()), ""
    except parser.Unreadable as error:
        return [], error.message


def _header(node: Node) -> str:
    """CREATE FUNCTION with the names of the parameters, and with types that the parser knows."""
    parameters = [each["FunctionParameter"] for each in node.get("parameters", ())]
    given = ", ".join(f"{_DIRECTIONS.get(each['mode'], '')}{_quoted_name(each)} text" for each in parameters)
    if node.get("is_procedure"):
        return f"CREATE PROCEDURE f({given}) LANGUAGE plpgsql AS"
    results = sum(each["mode"] in _DIRECTIONS for each in parameters)
    declared = node.get("returnType", {})
    name = (strings(declared.get("names", ())) or ["void"])[-1]
    result = "record" if results > 1 else name if name in ("trigger", "event_trigger", "void") else "text"
    setof = "SETOF " * bool(declared.get("setof"))
    returns = f" RETURNS {setof}{result}" if setof or not results else ""
    return f"CREATE FUNCTION f({given}){returns} LANGUAGE plpgsql AS"


_DIRECTIONS = {"FUNC_PARAM_OUT": "OUT ", "FUNC_PARAM_INOUT": "INOUT ", "FUNC_PARAM_TABLE": "OUT "}


def _quoted_name(parameter: Node) -> str:
    name = parameter.get("name", "").replace('"', '""')
    return f'"{name}"' if name else ""


def _quoted(text: str) -> str:
    tag = "$body$"
    while tag in text:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{text}{tag}"


def _simpler(declarations: re.Match[str]) -> str:
    text = declarations[0]
    for pattern, replacement in _UNKNOWN_TYPES:
        text = pattern.sub(replacement, text)
    return text


_COMMITS = {"PLpgSQL_stmt_commit": "COMMIT", "PLpgSQL_stmt_rollback": "ROLLBACK"}
_DYNAMIC = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})
_NOTED = _DYNAMIC | {*_COMMITS, "dynquery", "PLpgSQL_expr"}
_QUERY = 0
"""PLpgSQL_expr.parseMode of a whole statement; every other mode is an expression or an assignment."""


_SYNTAX = regex(r"syntax error|missing |mismatched|unterminated|end label|has no destination", re.IGNORECASE)
"""What the parser says of plpgsql that is wrong; of other things it may only not know them, as it has no catalog."""


def _plpgsql(whole: str, simpler: Callable[[], str], read: Read, *, detailed: bool) -> Facts:
    draft = Draft(kind=Kind.CODE, rerunnable=True, detailed=detailed)
    functions, why = _functions(whole, simpler)
    if not functions:
        committing = f"its body has {found[1].upper()}" if (found := _COMMITTING.search(simpler())) else ""
        slip = (_act(UNREADABLE, why),) if detailed and _SYNTAX.search(why) else ()
        return Facts(kind=Kind.UNKNOWN, command="plpgsql", alone=committing, actions=slip)
    dynamic: set[int] = set()
    for key, value in every(functions):
        if key not in _NOTED:
            continue
        if key in _COMMITS:
            draft.alone = draft.alone or f"its body has {_COMMITS[key]}, which no transaction block may hold"
            draft.rerunnable = False
        elif key in _DYNAMIC:
            dynamic.add(id(value.get("query", {}).get("PLpgSQL_expr")))
        elif key == "dynquery":
            dynamic.add(id(value.get("PLpgSQL_expr")))
        else:
            _expression(draft, value, read, functions if id(value) in dynamic else None)
    return draft.finish()


def _expression(draft: Draft, node: Node, read: Read, dynamic: list[Node] | None) -> None:
    """One SQL statement or expression of a plpgsql body; `dynamic` is the body when the text that it makes is run."""
    text = node.get("query", "")
    found = read(text) if node.get("parseMode", _QUERY) == _QUERY else read(f"SELECT {_right_side(text, node)}")
    if dynamic is not None:
        made, whole = built.text_of(text, dynamic)
        if whole:
            draft.literals |= found.literals
            found = read(made)
        else:
            draft.session, draft.rerunnable, draft.unread = True, False, True
            draft.actions += [_act(BUILT, made)] * draft.detailed
    elif (
        draft.detailed
        and found.kind is Kind.UNKNOWN
        and node.get("parseMode", _QUERY) == _QUERY
        and (why := refusal(text))
    ):
        draft.actions.append(_act(UNREADABLE, why))
    draft.merge(found)
    draft.rerunnable &= found.rerunnable and not (found.creates or found.drops or found.alters)


def _right_side(text: str, node: Node) -> str:
    """An assignment's value: parse modes 3 to 5 are `x := value`, with as many names before it."""
    if node.get("parseMode", 0) < _ASSIGNMENT:
        return text
    for sign in (":=", "="):
        if sign in text:
            return text.partition(sign)[2]
    return text


_ASSIGNMENT = 3


def sent_on(text: str, read: Read) -> Facts:
    """What the results of a query do, which psql's \\gexec sends to the server."""
    draft = Draft(kind=Kind.CODE, command="\\gexec", detailed=True)
    for made, whole in built.texts_in(text):
        if whole:
            draft.merge(read(made, detailed=True))
        else:
            draft.actions.append(_act(BUILT, made))
    return draft.finish()
