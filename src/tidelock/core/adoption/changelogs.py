"""Liquibase's changelogs that include others: which SQL files they lead to, in which order, and under which names."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.adoption.original import Files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUFFIXES = (".yaml", ".yml", ".json", ".xml")
INCLUDE = re.compile(r"\binclude(All)?\b")
TARGET = re.compile(r"""\b(?:file|path)["']?\s*[:=]\s*["']?([^\s"',}]+)""")
RELATIVE = re.compile(r"""\brelativeToChangelogFile["']?\s*[:=]\s*["']?true\b""", re.IGNORECASE)
COMMENT = re.compile(r"<!--.*?-->|^\s*#[^\n]*", re.DOTALL | re.MULTILINE)
RESOURCES = re.compile(r"(?:.*/)?src/(?:main|test)/resources/")
"""Where a Java project's search path begins."""


@dataclass(frozen=True, slots=True)
class Include:
    """One `include` or `includeAll`."""

    target: str
    relative: bool
    """To the changelog that has it; otherwise to where the search path begins."""
    everything: bool = False
    """It is an `includeAll`: the target is a folder."""


@dataclass(slots=True)
class Walk:
    """The changelogs of a project, and the SQL files found so far: path → the name that Liquibase records."""

    paths: frozenset[str]
    formatted: frozenset[str]
    includes: Mapping[str, list[Include]]
    found: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def visit(self, path: str, name: str) -> None:
        """Whatever a file leads to, itself included."""
        if path in self.formatted:
            self.found.setdefault(path, name)
        if path in self.seen:
            return
        self.seen.add(path)
        for each in self.includes.get(path, ()):
            for below, its_name in self.targets(path, name, each):
                self.visit(below, its_name)

    def targets(self, path: str, name: str, include: Include) -> Iterator[tuple[str, str]]:
        """The files that it means, and their names."""
        if include.relative:
            start, its_name = (
                posixpath.normpath(posixpath.join(posixpath.dirname(each), include.target)) for each in (path, name)
            )
            starts = [start]
        else:
            its_name = posixpath.normpath(include.target.removeprefix("classpath:").lstrip("/"))
            starts = sorted(self.starts(its_name), key=lambda each: (len(each), each))[:1]
        for each in starts:
            yield from self.below(each, its_name, everything=include.everything)

    def starts(self, name: str) -> set[str]:
        """What lies where a name from the beginning of the search path leads, wherever that begins."""
        places = ((path, f"/{path}/".find(f"/{name}/")) for path in self.paths)
        return {path[: at + len(name)] for path, at in places if at >= 0}

    def below(self, start: str, name: str, *, everything: bool) -> Iterator[tuple[str, str]]:
        """A file; or, for includeAll, those below a folder, by name."""
        if not everything:
            yield from [(start, name)] if start in self.paths else []
            return
        for each in sorted(self.paths):
            if each.startswith(f"{start}/"):
                yield each, name + each.removeprefix(start)


def names(files: Files, formatted: Iterable[str]) -> dict[str, str]:
    """Path → recorded name of the SQL files, in the order in which they are included; the others come last."""
    includes = {path: list(read(data)) for path, data in files.items() if path.endswith(SUFFIXES)}
    walk = Walk(frozenset(files), frozenset(formatted), includes)
    included = {
        below
        for path, its_includes in includes.items()
        for each in its_includes
        for below, _ in walk.targets(path, path, each)
        if below != path
    }
    roots = sorted(path for path, its_includes in includes.items() if its_includes and path not in included)
    for path in [*roots, *sorted(walk.formatted)]:
        walk.visit(path, RESOURCES.sub("", path))
    return walk.found


def read(data: bytes) -> Iterator[Include]:
    """The includes of a changelog in YAML, JSON or XML, as they come."""
    text = COMMENT.sub("", data.decode(errors="replace"))
    _, *pieces = INCLUDE.split(text)
    for everything, body in zip(pieces[::2], pieces[1::2], strict=True):
        if found := TARGET.search(body):
            yield Include(found[1], RELATIVE.search(body) is not None, everything=everything is not None)
