"""One clean sequence out of any names, and ledgers that know a file by the number it had before."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidelock.core.adoption.match import encoded, read_was
from tidelock.core.source import MAX_DIGITS, name_of, parts_of
from tidelock.errors import SourceFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.model import Migration, Observed
    from tidelock.core.statement import Script

TOOL = "file"
"""`-- tidelock: was file 002_old_name.sql` says that this file was renumbered."""


class BadOrder(UsageFault):
    """--order that is none, or a list that does not name every file once."""

    code = "U013"

    def __init__(self, order: str, why: str) -> None:
        super().__init__(
            f"--order {order}: {why}", hint="say sort, version-sort or applied, or name a file with one name a line"
        )


class DownFiles(SourceFault):
    """Down migrations among the files that are to be numbered."""

    code = "S015"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"down migrations have no place in the sequence: {', '.join(names[:3])}",
            hint="another tool's files are taken over with `tidelock adopt --from TOOL --write DIR`",
        )


@dataclass(frozen=True, slots=True)
class Renamed:
    """One file's old and new name."""

    old: str
    new: str


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """As `sort -V` compares: runs of digits as numbers."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part)


def ordered(
    names: Sequence[str], order: str, listed: Sequence[str] = (), rank: Mapping[str, int] | None = None
) -> list[str]:
    """The names in the order that the owner states. `listed` is FILE's content, `rank` the ledger's."""
    if order == "sort":
        return sorted(names)
    if order == "version-sort":
        return sorted(names, key=lambda name: (natural(name), name))
    if order == "applied":
        known = rank or {}
        return sorted(names, key=lambda name: (known.get(name, len(known)), natural(name), name))
    unknown = [name for name in listed if name not in names]
    missing = [name for name in names if name not in listed]
    if unknown or missing or len(listed) != len(set(listed)):
        why = (
            f"it names {unknown[0]}, which is not there"
            if unknown
            else f"it lacks {missing[0]}"
            if missing
            else "it names a file twice"
        )
        raise BadOrder(order, why)
    return list(listed)


def renamed(names: Sequence[str]) -> list[Renamed]:
    """Numbers from 1 without gaps, as wide as they need to be, `_` behind them."""
    width = max(3, len(str(len(names))))
    return [Renamed(name, f"{number:0{width}}_{described(name)}") for number, name in enumerate(names, 1)]


def described(name: str) -> str:
    """What a name says beside its number, with its ending."""
    stem, ending = parts_of(name)
    words = re.sub(r"^\d+[-_]*", "", stem) or "unnamed"
    return re.sub(r"[^\w.]+", "_", words).strip("_") + ending


def marked(text: str, old: str) -> str:
    """The text with one more line that says what it was; those from before stay, since a database may know them."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return f"{mark}-- tidelock: was {TOOL} {encoded(old)}\n{text.removeprefix(mark)}"


def moves(files: Sequence[Migration], observed: Observed, read: Callable[[Migration], Script]) -> dict[int, int]:
    """Old version → new one, for rows of the ledger that are of a file which has another number now.

    The row is the file's when what counts in it is the same: another file may have had that number.
    """
    found: dict[int, int] = {}
    for file in files:
        for old in former_numbers(file):
            entry = observed.applied.get(old)
            if entry is None or entry.tokens is None or old in observed.unfinished or old in found:
                continue
            if entry.tokens == read(file).tokens:
                found[old] = file.version
                break
    while taken := [old for old, new in found.items() if new in observed.applied and new not in found]:
        for old in taken:  # the row that is there is of another file: a person has to look
            del found[old]
    return found


def former_names(file: Migration) -> list[str]:
    """Names that it had, the last one first."""
    return [told.key for each in file.directives if each.name == "was" and (told := read_was(each.value))]


def former_numbers(file: Migration) -> list[int]:
    """Numbers that it had, the last one first, but not the one that it has."""
    numbers = [number_in(name_of(name)) for name in former_names(file)]
    return [each for each in numbers if each is not None and each != file.version and each < 10**MAX_DIGITS]


def translated(observed: Observed, moved: Mapping[int, int]) -> Observed:
    """The ledger as it is when the rows have their new numbers."""
    if not moved:
        return observed
    applied = {
        moved.get(version, version): replace(entry, version=moved.get(version, version))
        for version, entry in observed.applied.items()
    }
    return replace(observed, applied=applied)


def number_in(name: str) -> int | None:
    """The number that a name begins with."""
    found = re.match(r"\d+", name)
    return int(found[0]) if found else None


def says(name: str, description: str) -> bool:
    """Whether a name has the words of a ledger's row."""
    return described(name).rpartition(".")[0].replace("_", " ").lower() == description.replace("_", " ").lower()
