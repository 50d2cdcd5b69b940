"""Small pieces of SQL: literals, names, lists of options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.renaming import split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LISTS = (
    "search_path",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
)
"""Settings whose value is a list of names: each is quoted by itself."""


def literal(text: Any) -> str:
    """A text as SQL; standard_conforming_strings is on."""
    return "'" + str(text).replace("'", "''") + "'"


def bare(name: str) -> str:
    """The last part of a name: the column of `public.t.a`, quoted as it has to be."""
    return split(name)[2]


def above(name: str) -> str:
    """A name without its last part: the table of `public.t.a`."""
    return split(name)[0]


def unquoted(name: str) -> str:
    """An identifier as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def storage_options(options: Iterable[str]) -> str:
    """`fillfactor='80', …` from `fillfactor=80`."""
    pairs = (each.partition("=") for each in options)
    return ", ".join(f"{name}={literal(value)}" for name, _, value in pairs)


def foreign_options(options: Iterable[str]) -> str:
    """`OPTIONS (host 'far')` from `host=far`."""
    pairs = (each.partition("=") for each in options)
    return f"OPTIONS ({', '.join(f'{name} {literal(value)}' for name, _, value in pairs)})"


def changed_options(before: Iterable[str] | None, after: Iterable[str] | None) -> str:
    """`OPTIONS (SET host 'x', DROP port)`: what makes options `before` from options `after`."""
    wanted, found = (dict(each.split("=", 1) for each in options or ()) for options in (before, after))
    words = [
        *(
            f"{'SET' if name in found else 'ADD'} {name} {literal(value)}"
            for name, value in wanted.items()
            if found.get(name) != value
        ),
        *(f"DROP {name}" for name in found if name not in wanted),
    ]
    return f"OPTIONS ({', '.join(words)})"


def reset_options(before: Iterable[str] | None, after: Iterable[str] | None) -> list[str]:
    """`SET (…)` and `RESET (…)` that make storage options `before` from `after`."""
    wanted, found = (dict(each.split("=", 1) for each in options or ()) for options in (before, after))
    new = [f"{name}={value}" for name, value in wanted.items() if found.get(name) != value]
    gone = [name for name in found if name not in wanted]
    return [*([f"SET ({storage_options(new)})"] if new else []), *([f"RESET ({', '.join(gone)})"] if gone else [])]


def sequence_options(attributes: Mapping[str, Any], *, every: bool = False) -> str:
    """START, INCREMENT, … without what is the default anyway, or with `every` one of them."""
    up = attributes["increment"] > 0
    limit = {"smallint": 2**15, "integer": 2**31}.get(attributes.get("type", "bigint"), 2**63)
    usual = {"min": 1 if up else -limit, "max": limit - 1 if up else -1, "increment": 1}
    usual["start"] = attributes["min"] if up else attributes["max"]
    words = []
    for name, word in (("start", "START"), ("increment", "INCREMENT"), ("min", "MINVALUE"), ("max", "MAXVALUE")):
        if every or attributes[name] != usual[name]:
            words.append(f"{word} {attributes[name]}")
    if every or "cache" in attributes:
        words.append(f"CACHE {attributes.get('cache', 1)}")
    if every or attributes.get("cycle"):
        words.append("CYCLE" if attributes.get("cycle") else "NO CYCLE")
    return " ".join(words)


def setting_value(name: str, value: str) -> str:
    """The value of a setting, as SET wants it."""
    if name not in LISTS:
        return literal(value)
    return ", ".join(literal(unquoted(each.strip())) for each in value.split(","))


def in_this_database(statement: str) -> str:
    """A statement with %I for the name of the database that runs it."""
    return f"DO $do$ BEGIN EXECUTE format({literal(statement)}, current_database()); END $do$;"
