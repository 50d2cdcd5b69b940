"""The only door to libpg_query: SQL text in, PostgreSQL's own parse tree out.

The tree is the JSON form of the parse tree, as plain dictionaries and lists: `{"SelectStmt": {"targetList": […]}}`.
Fields that are empty, zero or false are absent; enumerations are their names as text. JSON is read here rather than
the protobuf form because it needs neither protobuf's import (60 ms) nor its slow attribute access, and because
protobuf refuses trees nested deeper than 100 levels.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson

Node = dict[str, Any]
"""A parse-tree node: field name → value."""


class Unreadable(ValueError):
    """The parser cannot read a text. `offset` counts characters from 0; -1 when the place is not known."""

    def __init__(self, message: str, *, offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def parse(text: str) -> list[Node]:
    """The statements of a text, each wrapped in its node type. Empty when there are only comments.

    Raises Unreadable for anything the grammar of PostgreSQL 18 refuses, also when a server would accept it.
    """
    statements: list[Node] = [each["stmt"] for each in _call("pg_query_parse", text)["stmts"]]
    return statements


def parse_file(text: str) -> dict[str, Node]:
    """The statements of a file by their text, in one call: a quarter cheaper than a call for each.

    Whoever misses one parses it by itself. All are missing when the file is not plain SQL, or has a fault, or is so
    large that its trees together would be a burden; and so are those with a comment at their very end.
    """
    if len(text) > LARGEST:
        return {}
    try:
        found = _call("pg_query_parse", text)["stmts"]
    except Unreadable:
        return {}
    raw = text.encode()
    return {_text_of(each, raw): each["stmt"] for each in found}


LARGEST = 200_000
"""Characters of a file that is parsed as a whole. Its trees take some hundred times as many bytes."""


def _text_of(statement: Node, file: bytes) -> str:
    """What is parsed, without its semicolon. The parser counts bytes."""
    start = statement.get("stmt_location", 0)
    end = start + statement["stmt_len"] if "stmt_len" in statement else len(file)
    return file[start:end].decode().rstrip(" \t\n\r\f\v")


def parse_plpgsql(text: str) -> list[Node]:
    """The bodies of a CREATE FUNCTION or DO statement in plpgsql, each as a PLpgSQL_function node.

    Raises Unreadable when the body is not plpgsql.
    """
    return [each["PLpgSQL_function"] for each in _call("pg_query_parse_plpgsql", text) if "PLpgSQL_function" in each]


def _call(function: str, text: str) -> Any:
    parse, free = _functions(function)
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise Unreadable("the text is not valid Unicode", offset=error.start) from error
    if b"\0" in raw:
        raise Unreadable("the text holds a NUL byte", offset=text.index("\0"))
    result = parse(raw)
    try:
        if result.error:
            raise _unreadable(result.error.contents)
        answer: bytes = result.json
    finally:
        free(result)
    return _read(answer)


def _unreadable(error: Any) -> Unreadable:
    """The error's position counts characters from 1 (postgast's documentation says bytes; a test shows otherwise)."""
    return Unreadable((error.message or b"").decode(errors="replace"), offset=error.cursorpos - 1)


# libpg_query (17 and 18) writes one brace too many for the hidden variables of trigger functions (TG_OP and the like).
_STRAY_BRACE = re.compile(rb"(?<=[\[,])\{\}\}(?=[,\]])")
_HIDDEN = re.compile(
    rb'(\[\s*\{"PLpgSQL_function":\{[^\[]*\[\{"PLpgSQL_rec":\{"refname":"new"[^}]*\}\},'
    rb'\{"PLpgSQL_rec":\{"refname":"old"[^}]*\}\},)((?:\{\}\},)+)'
)
"""Where they stand: an answer that is mended there need not be read in vain first."""


def _read(answer: bytes) -> Any:
    if hidden := _HIDDEN.match(answer):
        answer = hidden[1] + hidden[2].replace(b"{}}", b"{}") + answer[hidden.end() :]
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        pass  # it refuses half of a surrogate pair, and what is nested deeper than 1,024 levels
    for each in (answer, _STRAY_BRACE.sub(b"{}", answer)):
        try:
            return json.loads(each)
        except RecursionError:
            return _read_deep(each)
        except ValueError:
            pass
    raise Unreadable("libpg_query's answer is not readable")


_TOKEN = re.compile(rb'\s*([{}\[\],:]|"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+)')


def _read_deep(answer: bytes) -> Any:
    """JSON of any depth: 500 times `a || b` or 1,000 times UNION ALL are nested deeper than json's recursion goes."""
    root: list[Any] = []
    stack: list[list[Any] | dict[str, Any]] = [root]
    key: str | None = None
    for token in (match[1] for match in _TOKEN.finditer(answer)):
        if token in (b"}", b"]"):
            stack.pop()
        elif token not in (b",", b":"):
            value: Any = {} if token == b"{" else [] if token == b"[" else json.loads(token)
            top = stack[-1]
            if isinstance(top, list):
                top.append(value)
            elif key is None:
                key = value
                continue
            else:
                top[key] = value
            key = None
            if isinstance(value, (dict, list)):
                stack.append(value)
    return root[0]


class _Error(ctypes.Structure):
    """PgQueryError, as pg_query.h has it."""

    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _Tree(ctypes.Structure):
    """PgQueryParseResult."""

    _fields_ = (("json", ctypes.c_char_p), ("stderr", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


class _Bodies(ctypes.Structure):
    """PgQueryPlpgsqlParseResult."""

    _fields_ = (("json", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


_RESULTS: dict[str, tuple[type[ctypes.Structure], str]] = {
    "pg_query_parse": (_Tree, "pg_query_free_parse_result"),
    "pg_query_parse_plpgsql": (_Bodies, "pg_query_free_plpgsql_parse_result"),
}
"""Function → what it returns, and the function that frees that."""

Function = Callable[[Any], Any]


@cache
def _functions(name: str) -> tuple[Function, Function]:
    """A function of libpg_query, and the one that frees its results."""
    result, freeing = _RESULTS[name]
    parse, free = getattr(_library(), name), getattr(_library(), freeing)
    parse.argtypes, parse.restype = [ctypes.c_char_p], result
    free.argtypes, free.restype = [result], None
    return parse, free


@cache
def _library() -> ctypes.CDLL:
    """libpg_query as `postgast` ships it, or knows where to find it.

    `import postgast` loads protobuf, typed node classes and a formatter (60 to 120 ms), and its module `native` alone
    what looks for libraries (10 ms). The file is loaded from its folder; where there is none, the package is imported.
    """
    package = importlib.util.find_spec("postgast")
    for folder in (package and package.submodule_search_locations) or ():
        for name in ("libpg_query.so", "libpg_query.dylib", "pg_query.dll"):
            if (path := Path(folder, name)).is_file():
                return ctypes.CDLL(str(path))
    from postgast import native

    return ctypes.CDLL(native.lib._name)
