"""SQL put together as advice: names quoted where they must be, and nothing that the parser refuses."""

from __future__ import annotations

from functools import cache

from tidelock.core import parser
from tidelock.core.patterns import regex

PLAIN = regex(r"[a-z_][a-z0-9_$]*")
NAME_BYTES = 63
NEXT_FILE = "-- in the next file, so that this one's locks are gone:"


@cache
def quoted(name: str) -> str:
    """`t` and `s.t` as they are; `"Order"`, `"user"` in quotes."""
    schema, dot, bare = name.rpartition(".")
    return f"{_part(schema)}.{_part(bare)}" if dot else _part(name)


def _part(name: str) -> str:
    if PLAIN.fullmatch(name):
        try:
            parser.parse(f"CREATE TABLE {name} ({name} int)")
        except parser.Unreadable:
            pass
        else:
            return name
    return '"' + name.replace('"', '""') + '"'


def listed(names: tuple[str, ...]) -> str:
    """Names as a list: `a, "B"`."""
    return ", ".join(map(quoted, names))


def named(table: str, columns: tuple[str, ...], ending: str) -> str:
    """The name that PostgreSQL itself would give a constraint or index, cut to length."""
    bare = table.rpartition(".")[2]
    body = "_".join((bare, *filter(None, columns)))
    return f"{body[: NAME_BYTES - len(ending) - 1]}_{ending}"


def lines(*statements: str) -> str:
    """Statements one below the other, each with its semicolon; "" when the parser refuses them."""
    text = "\n".join(each if each.startswith("--") or each.endswith(";") else f"{each};" for each in statements)
    try:
        parser.parse(text)
    except parser.Unreadable:
        return ""
    return text


def with_ending(statement: str, words: str) -> str:
    """A statement with some words behind it, also when it ends in a comment."""
    text = statement.rstrip()
    return f"{text}\n{words}" if "--" in text.rpartition("\n")[2] else f"{text} {words}"
