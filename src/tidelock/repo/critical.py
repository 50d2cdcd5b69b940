"""`[[critical]]` of tidelock.toml against the disk and the files: what no run could use is refused before it begins."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.values import record
from tidelock.errors import UsageFault
from tidelock.repo.directory import shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.critical import Critical


@record(frozen=True, slots=True)
class Unfit:
    """One thing in an entry that cannot be used."""

    critical: Critical
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.critical.entry} ({self.critical.table}): {self.what}"


class CriticalUnfit(UsageFault):
    """A `[[critical]]` that names a script or a migration which is not there, or a script outside of the project."""

    code = "U021"

    def __init__(self, found: Sequence[Unfit]) -> None:
        first, *others = found
        super().__init__(str(first), hint=first.remedy, detail="\n".join(map(str, others)))


ENTRY = regex(r"^\s*\[\[\s*critical\s*\]\]", re.MULTILINE)


def place_of(critical: Critical) -> Place:
    """Where its entry stands."""
    name, _, entry = critical.entry.partition(": ")
    path = Path(critical.project, name)
    text = path.read_text(encoding="utf-8")
    starts = [found.end() for found in ENTRY.finditer(text)]
    number = int(re.sub(r"\D", "", entry))
    line = text.count("\n", 0, starts[number - 1]) + 1 if number <= len(starts) else 1
    return Place(f"{shown_path(path.parent)}/{name}".removeprefix("./"), line)


def refuse_scripts(criticals: Sequence[Critical]) -> None:
    """Raise CriticalUnfit when a fallback lies outside of the project, or is not there."""
    if found := list(unfit_scripts(criticals)):
        raise CriticalUnfit(found)


def unfit_scripts(criticals: Sequence[Critical]) -> Iterator[Unfit]:
    """The fallbacks that could not be read when they are needed, or must not be."""
    for each in criticals:
        if not each.fallback:
            continue
        path, project = Path(each.fallback), Path(each.project).resolve()
        name = os.path.relpath(path, each.project)
        if not path.resolve().is_relative_to(project):
            leads = f" leads to {path.resolve()}, which" if path.is_symlink() else ""
            yield Unfit(
                each,
                f"its fallback {name}{leads} lies outside of {project}",
                "move the script to tidelock.toml or below: only what is there is under review and in the image",
            )
        elif not path.is_file():
            yield Unfit(
                each,
                f"its fallback {name} is {'not a file' if path.exists() else 'not there'}",
                "mend the path, which counts from tidelock.toml, or write the script: "
                f"`tidelock new --critical {each.table}` makes it from the migration",
            )


def refuse_migrations(criticals: Sequence[Critical], versions: Sequence[int]) -> None:
    """Raise CriticalUnfit when one names a version that no file has. Without any file nothing is said."""
    if found := list(unfit_migrations(criticals, versions)):
        raise CriticalUnfit(found)


def unfit_migrations(criticals: Sequence[Critical], versions: Sequence[int]) -> Iterator[Unfit]:
    """The versions that no file has."""
    for each in criticals:
        if versions and each.migration is not None and each.migration not in versions:
            yield Unfit(
                each,
                f"no file has its migration {each.migration}",
                f"name the version of the file that creates {each.table}; the files go from {min(versions)} "
                f"to {max(versions)}",
            )
