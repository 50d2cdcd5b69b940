"""Files → migrations, as far as they can be read: what is wrong with one is a finding, and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.model import Place
from tidelock.core.report import Finding, Severity
from tidelock.core.source import DuplicateVersion, duplicates, migrations
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.model import Migration
    from tidelock.core.source import SourceFile


def readable(files: Sequence[SourceFile]) -> tuple[list[Migration], list[Finding]]:
    """What can be read, in numeric order, and what is wrong with the rest."""
    try:
        return list(migrations(files)), []
    except SourceFault:
        pass  # which one it is, and what is wrong with others, is found file by file
    read: list[Migration] = []
    found: list[Finding] = []
    for file in files:
        try:
            read += migrations([file])
        except SourceFault as fault:
            found.append(of_fault(fault, file.path))
    read.sort(key=lambda each: (each.version, each.path))
    for version, same in duplicates(read):
        found.append(of_fault(DuplicateVersion(version, same), same[-1]))
    return read, found


def of_fault(fault: SourceFault, path: str) -> Finding:
    """What is wrong with a file, as a finding at the place that its message begins with, if it does."""
    place = place_in(fault.message, path)
    message = fault.message.removeprefix(f"{place}: ").removeprefix(f"{place.path}:{place.line}: ")
    return Finding(code=fault.code, severity=Severity.ERROR, message=message, hint=fault.hint, place=place)


def place_in(message: str, path: str) -> Place:
    """`path:3:7: …` as a place; the file's beginning when it is not said so."""
    if message.startswith(f"{path}:"):
        numbers = message.removeprefix(f"{path}:").split(":", 2)
        if len(numbers) > 1 and numbers[0].isdigit() and numbers[1].isdigit():
            return Place(path, int(numbers[0]), int(numbers[1]))
        if numbers[0].isdigit():
            return Place(path, int(numbers[0]))
    return Place(path, 1)
