"""Lint: files → findings, without a database."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from tidelock.app import together
from tidelock.core.fallback import unfit
from tidelock.core.lint.engine import Engine, Selection
from tidelock.core.lint.known import Known
from tidelock.core.lint.reading import of_fault, readable
from tidelock.core.model import Migration, Place
from tidelock.core.source import decoded, directives
from tidelock.core.values import record
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.app.reading import Reader
    from tidelock.core.report import Finding
    from tidelock.core.source import SourceFile
    from tidelock.core.statement import Script


@record(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was found in one directory."""

    directory: str
    files: int
    """How many were read."""
    findings: tuple[Finding, ...]
    texts: Mapping[str, str]
    """path → text, for excerpts and changes."""


@record(frozen=True, slots=True, kw_only=True)
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
        from tidelock.core.lint.refusing import live  # needed beside a database alone

        known = live(self.schema)
        for name, rows in self.rows.items():
            if table := known.table(name):
                table.rows = rows
        return known


@record(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be linted, and how."""

    directory: str
    files: Sequence[SourceFile]
    reader: Callable[[Sequence[Migration]], Reader]
    """What reads the scripts of these migrations."""
    found: Sequence[Finding] = ()
    """What is wrong with files that could not even be read, and with tidelock.toml; always told."""
    fallbacks: Sequence[SourceFile] = ()
    """The scripts of critical tables."""
    critical: Mapping[Place, str] = field(default_factory=dict)
    """Where tidelock.toml says so → a table that the application cannot start without."""
    selection: Selection = field(default_factory=Selection)
    changed: frozenset[str] | None = None
    """Paths to speak of; None is all."""
    main_branch: Callable[[Sequence[Migration]], Mapping[str, str]] = lambda _: {}
    live: Live | None = None
    """A live database; without one nothing is known but what the files say."""

    def speaks_of(self, path: str) -> bool:
        """Whether findings in a file are wanted."""
        return self.changed is None or path in self.changed


def lint(request: Request) -> Linted:
    """Every rule on every file."""
    there = request.live
    migrations, found = readable(request.files)
    found = [each for each in found if each.place is None or request.speaks_of(each.place.path)]
    found += request.found
    if there:
        migrations = [each for each in migrations if each.version not in there.applied]
    reader, main_branch = request.reader(migrations), request.main_branch(migrations)
    found += together.run(
        lambda: Engine(
            reader.script,
            request.selection,
            main_branch,
            request.critical,
            known=there.known() if there else Known(),
            on_recreate=reader.on_recreate,
        ),
        migrations,
        lambda each: request.speaks_of(each.path),
    )
    for each in request.fallbacks:
        found += fallback(each, reader, request.selection) if request.speaks_of(each.path) else []
    return Linted(
        directory=request.directory,
        files=(len(migrations) if there else len(request.files)) + len(request.fallbacks),
        findings=tuple(sorted(found, key=lambda each: (each.place or Place("", 0), each.code))),
        texts={
            **{each.path: each.text for each in migrations},
            **{each.path: each.data.decode(errors="replace") for each in request.fallbacks},
        },
    )


OF_MIGRATIONS = ("LK", "TX", "HY002", "HY003", "HY004", "HY008")
"""What is not asked of a fallback: it stands in one transaction (S014), makes what is not there, and has no number."""


def fallback(file: SourceFile, reader: Reader, selection: Selection) -> list[Finding]:
    """A script that may run again at any `apply`, on a database of which nothing is known."""
    try:
        text = decoded(file)
        said = tuple(directives(file.path, text))
    except SourceFault as fault:
        return [of_fault(fault, file.path)]
    script = Migration(version=-1, description="", path=file.path, text=text, checksum="", directives=said)
    engine = Engine(
        lambda each: reader.beside(each.path, each.text),
        replace(selection, ignore=(*selection.ignore, *OF_MIGRATIONS)),
    )
    found = engine.run([script])
    return found + [of_fault(fault, file.path) for each in engine.files if each.script for fault in unfit(each.script)]
