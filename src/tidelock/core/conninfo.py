"""What `\\connect` asks for: a database, and whether anything else would change with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from tidelock.core.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIR = regex(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))")


def target_of(words: Sequence[str]) -> tuple[str, str]:
    """The database that the arguments of `\\connect` name ("" for the one at hand), and what else they change."""
    words = [word for word in words if not word.startswith("-reuse-previous")]
    if not words:
        return "", ""
    first = words[0]
    if first.startswith(("postgresql://", "postgres://")):
        return of_url(first)
    if "=" in first:
        return of_pairs(first)
    others = [
        f"the {what} to {word}" for what, word in zip(("user", "host", "port"), words[1:], strict=False) if word != "-"
    ]
    return ("" if first == "-" else dequoted(first)), ", ".join(others)


def dequoted(word: str) -> str:
    """`"name"` without its quotes."""
    return word[1:-1].replace('""', '"') if len(word) > 1 and word[0] == word[-1] == '"' else word


def of_url(url: str) -> tuple[str, str]:
    """A connection URL. Its password is never shown."""
    parts = urlsplit(url)
    settings = dict(parse_qsl(parts.query))
    database = settings.pop("dbname", "") or unquote(parts.path.lstrip("/"))
    others = ["the server" if parts.netloc else "", *settings]
    return database, ", ".join(other for other in others if other)


def of_pairs(conninfo: str) -> tuple[str, str]:
    """`dbname=x host=y`. Values other than the database's name are never shown."""
    settings = {name: re.sub(r"\\(.)", r"\1", quoted or plain) for name, quoted, plain in PAIR.findall(conninfo)}
    return settings.pop("dbname", ""), ", ".join(settings)
