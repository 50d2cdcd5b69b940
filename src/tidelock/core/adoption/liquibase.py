"""Liquibase's formatted SQL: `--changeset author:id`; an MD5 over what is left without markers and white space."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.adoption import changelogs
from tidelock.core.adoption.original import Files, Original, base, words

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = re.IGNORECASE
FORMATTED = re.compile(r"\s*--\s*liquibase\s*formatted.*", FLAGS)
CHANGESET = re.compile(r'\s*--\s*changeset\s+(?P<author>"[^"]+"|[^:]+):\s*(?P<id>"[^"]+"|\S+).*', FLAGS)
PROPERTY = re.compile(r"\s*--\s*property\s+.*", FLAGS)
IGNORE = re.compile(r"--\s*ignoreLines:(\w+)", FLAGS)
ROLLBACK_BLOCK = re.compile(r"\s*/\*\s*liquibase\s*rollback\s*", FLAGS)
ASIDE = re.compile(
    r"--\s*comment:? .*|--\s*validCheckSum:? .*|\s*--\s*rollback .*"
    r"|\s*--\s*preconditions.*|\s*--\s*precondition-[a-zA-Z0-9-]+ .*",
    FLAGS,
)
CONTROL = "".join(map(chr, range(33)))
"""What Java's trim() takes away."""


@dataclass
class Changeset:
    """Where it begins, and its lines without markers."""

    file: str
    author: str
    id: str
    attributes: str
    lines: list[str] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        """`splitStatements:false` and the like."""
        found = re.search(rf"\b{name}:(\S+)", self.attributes, FLAGS)
        return found[1] if found else None


def originals(files: Files) -> list[Original]:
    """The changesets of formatted SQL files, in the order in which the other changelogs include them."""
    formatted = [path for path, data in files.items() if path.endswith(".sql") and is_formatted(data)]
    properties: dict[str, str] = {}
    return [
        original(each, path, properties)
        for path, name in changelogs.names(files, formatted).items()
        for each in changesets(files[path], name, properties)
    ]


def is_formatted(data: bytes) -> bool:
    """Its first line says so."""
    first = data.decode("utf-8-sig", errors="replace").lstrip().split("\n", 1)[0]
    return FORMATTED.match(first) is not None


def changesets(data: bytes, name: str, properties: dict[str, str]) -> Iterator[Changeset]:
    """The changesets of one file; properties that it sets are added, the first value counting."""
    lines = iter(re.split("\r\n|\r|\n", data.decode("utf-8-sig", errors="replace")))
    logical, current = name, None
    for line in lines:
        if PROPERTY.fullmatch(line):
            keep_property(line, properties)
        elif FORMATTED.fullmatch(line):
            found = re.search(r"logicalFilePath:(\S+)", line, FLAGS)
            logical = found[1] if found else logical
        elif ignored := IGNORE.fullmatch(line):
            skip(lines, ignored[1])
        elif begun := CHANGESET.fullmatch(line):
            if current:
                yield current
            current = Changeset(logical, begun["author"].strip('"'), begun["id"].strip('"'), line)
            current.file = current.attribute("logicalFilePath") or logical
        elif ROLLBACK_BLOCK.fullmatch(line):
            while "*/" not in next(lines, "*/"):
                pass
        elif current and not ASIDE.fullmatch(line):
            current.lines.append(line)
    if current:
        yield current


def keep_property(line: str, properties: dict[str, str]) -> None:
    """`--property name:a value:b`."""
    name, value = (re.search(rf"{word}:\s*(\S+)", line, FLAGS) for word in ("name", "value"))
    if name and value:
        properties.setdefault(name[1], value[1])


def skip(lines: Iterator[str], how: str) -> None:
    """`--ignoreLines:start` to `:end`, or so many lines."""
    if how == "start":
        while not IGNORE.fullmatch(next(lines, "--ignoreLines:end")):
            pass
        return
    for _ in range(int(how) if how.isdigit() else 0):
        next(lines, None)


def original(changeset: Changeset, path: str, properties: dict[str, str]) -> Original:
    """A changeset, its properties filled in."""
    text = "\n".join(changeset.lines).strip(CONTROL)
    text = re.sub(r"\$\{([^}]+)\}", lambda found: properties.get(found[1], found[0]), text)
    delimiter = changeset.attribute("endDelimiter")
    sql = re.sub(rf"{re.escape(delimiter)}[ \t]*$", ";", text, flags=re.MULTILINE) if delimiter else text
    unknown = re.search(r"\$\{[^}]+\}", sql)
    label = changeset.id if not changeset.id.isdigit() else f"{base(path).rpartition('.')[0]}_{changeset.id}"
    return Original(
        key=f"{changeset.file}::{changeset.id}::{changeset.author}",
        path=path,
        description=words(label),
        sql=None if unknown else sql + "\n",
        why_not=f"its property {unknown[0]} has no value in a file" if unknown else "",
        sums=(sum_9(text), sum_8(changeset, text)),
        transaction=changeset.attribute("runInTransaction") != "false",
    )


def md5(text: str | bytes) -> str:
    """MD5 in hex."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sum_9(text: str) -> str:
    """From 4.22 on: without blank, tab and line ends anywhere."""
    return f"9:{md5(f'9:{md5(text.encode().translate(None, bytes((32, 9, 10, 13))))}:')}"


def sum_8(changeset: Changeset, text: str) -> str:
    """3.5 to 4.21: with how it is split, and runs of white space as one blank."""
    split = (changeset.attribute("splitStatements") or "true").lower()
    strip = (changeset.attribute("stripComments") or "true").lower()
    head = f"{changeset.attribute('endDelimiter') or 'null'}:{split}:{strip}:"
    body = re.sub(r"[ \t\n\r]+", " ", text).strip(" ")
    return f"8:{md5(f'8:{md5(head + body)}:')}"
