"""What `\\connect` asks for: a database, and what else a connection has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from tidelock.core.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAIR = regex(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))")
QUOTED = regex(r'"((?:[^"]|"")*)"')
NETLOC = regex(r"(?:(?P<user>[^:@]*)(?::(?P<password>[^@]*))?@)?(?P<host>\[[^]]*\]|[^:]*|.*)(?::(?P<port>\d*))?")


def target_of(words: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """The database that the arguments of `\\connect` name ("" for the one at hand), and the rest by libpq's names."""
    words = [QUOTED.sub(lambda found: found[1].replace('""', '"'), word) for word in words]
    words = ["" if word == "-" else word for word in words if not word.startswith("-reuse-previous")]
    first = words[0] if words else ""
    if first.startswith(("postgresql://", "postgres://")):
        settings = of_url(first)
    elif "=" in first:
        settings = of_pairs(first)
    else:
        settings = dict(zip(("dbname", "user", "host", "port"), words, strict=False))
    database = settings.pop("dbname", "")
    return database, {name: value for name, value in settings.items() if value}


def of_url(url: str) -> dict[str, str]:
    """The settings of a connection URL."""
    parts = urlsplit(url)
    found = NETLOC.fullmatch(parts.netloc)
    assert found is not None, "its host takes anything"
    server = {name: unquote(value or "").strip("[]") for name, value in found.groupdict().items()}
    return {**server, "dbname": unquote(parts.path.lstrip("/")), **dict(parse_qsl(parts.query))}


def of_pairs(conninfo: str) -> dict[str, str]:
    """The settings of `dbname=x host=y`."""
    return {name: re.sub(r"\\(.)", r"\1", quoted or plain) for name, quoted, plain in PAIR.findall(conninfo)}
