"""Lint: files → findings, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.app import together
from tidelock.core.lint.engine import Engine, Selection
from tidelock.core.lint.known import Known
from tidelock.core.lint.reading import readable
from tidelock.core.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.report import Finding
    from tidelock.core.source import SourceFile
    from tidelock.core.statement import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was found in one directory."""

    directory: str
    files: int
    """How many were read."""
    findings: tuple[Finding, ...]
    texts: Mapping[str, str]
    """path → text, for excerpts and changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a live database has already."""

    schema: Script
    """The statements that would make its schema."""
    rows: Mapping[str, int]
    """Table → how many rows the server believes it to have."""
    applied: frozenset[int]
    """Versions; only the others are spoken of."""

    def known(self) -> Known:
        """The schema, as if files had made it."""
        known = Known()
        for each in self.schema.statements:
            for done in each.facts.actions:
                known.learn(done, Place("the database", each.place.line))
        for name, rows in self.rows.items():
            if table := known.table(name):
                table.rows = rows
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be linted, and how."""

    directory: str
    files: Sequence[SourceFile]
    read: Callable[[Sequence[Migration]], Callable[[Migration], Script]]
    """What reads the script of each of these migrations; raises a SourceFault."""
    selection: Selection = field(default_factory=Selection)
    changed: frozenset[str] | None = None
    """Paths to speak of; None is all."""
    main_branch: Callable[[Sequence[Migration]], Mapping[str, str]] = lambda _: {}
    live: Live | None = None
    """A live database; without one nothing is known but what the files say."""


def lint(request: Request) -> Linted:
    """Every rule on every file."""
    migrations, found = readable(request.files)
    changed, live = request.changed, request.live
    if live:
        migrations = [each for each in migrations if each.version not in live.applied]
    read, main_branch = request.read(migrations), request.main_branch(migrations)
    found += together.run(
        lambda: Engine(read, request.selection, main_branch, known=live.known() if live else Known()),
        migrations,
        lambda each: changed is None or each.path in changed,
    )
    if changed is not None:
        found = [each for each in found if each.place is None or each.place.path in changed]
    return Linted(
        directory=request.directory,
        files=len(migrations) if live else len(request.files),
        findings=tuple(sorted(found, key=lambda each: (each.place or Place("", 0), each.code))),
        texts={each.path: each.text for each in migrations},
    )
