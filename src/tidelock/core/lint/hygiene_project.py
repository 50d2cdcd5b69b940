"""Hygiene (HY): what git and tidelock.toml say of the files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, directory_rule
from tidelock.core.model import Place
from tidelock.core.report import Severity
from tidelock.core.source import NAME, name_of, number_of
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.core.lint.look import Directory, File


@directory_rule(
    "HY026",
    "a file changed after it was on the main branch",
    Severity.ERROR,
    why="What is on the main branch has been applied, or will be at any moment. Databases that have it never get the "
    "change, new ones do: from then on no two are alike. (`apply` refuses a file whose statements have changed.)",
    fix="restore it, and put the change into a new file",
)
def changed(directory: Directory) -> Iterator[Remark]:
    """The same path with other bytes, also under the name that `renumber` gave it."""
    for file in directory.files:
        path = _former(file, directory.main_branch) or file.migration.path
        before = directory.main_branch.get(path)
        if before is not None and before not in _digests(file):
            message = f"it was {before[:8]} on the main branch and is {file.migration.checksum[:8]}"
            yield Remark(message=message, place=Place(file.migration.path, 1))


@directory_rule(
    "HY027",
    "a new file with a number below the main branch's last",
    Severity.ERROR,
    why="Databases that follow the main branch are past that number: they run the file after later ones, new databases "
    "before them. `apply` refuses it as out of order.",
    fix="give it the next number, or say so in the file: -- tidelock: out-of-order",
)
def below(directory: Directory) -> Iterator[Remark]:
    """A path that the main branch does not have, and a number that it is past."""
    numbers = {path: int(number_of(path)) for path in directory.main_branch if number_of(path)}
    last = max(numbers, key=numbers.__getitem__, default="")
    moved = {directory.main_branch[path] for path in _gone(directory)}
    for file in directory.files:
        path, version = file.migration.path, file.migration.version
        known = path in directory.main_branch or _former(file, directory.main_branch)
        if not last or known or file.migration.directive("out-of-order"):
            continue
        if version <= numbers[last] and file.migration.checksum not in moved:
            message = f"the main branch is at {name_of(last)}, and this one is new"
            yield Remark(message=message, place=Place(path, 1))


@directory_rule(
    "HY028",
    "a file of the main branch is gone",
    Severity.ERROR,
    why="Databases that have applied it know a version that no file explains, and new ones never get what it did. "
    "Under another number it is run a second time.",
    fix="restore it under the name that it had; where numbers have to change, let `tidelock renumber` rename it, which "
    "notes the old name in the file",
)
def gone(directory: Directory) -> Iterator[Remark]:
    """A path that the main branch has, renamed without `renumber`, or deleted."""
    by_content = {file.migration.checksum: file.migration.path for file in directory.files}
    for path in _gone(directory):
        if new := by_content.get(directory.main_branch[path]):
            yield Remark(message=f"on the main branch its name is {path}", place=Place(new, 1))
        else:
            yield Remark(message="the main branch has it", place=Place(path, 1))


def _gone(directory: Directory) -> list[str]:
    """Migrations of the main branch that no file is, or says that it was."""
    here = {file.migration.path for file in directory.files}
    here |= {_former(file, directory.main_branch) for file in directory.files}
    return sorted(each for each in directory.main_branch if each not in here and NAME.fullmatch(name_of(each)))


def _former(file: File, main_branch: Mapping[str, str]) -> str:
    """The path that it had on the main branch, as its `-- tidelock: was file …` says; empty when it had none."""
    path = file.migration.path
    if path in main_branch or not file.migration.directive("was"):
        return ""
    from tidelock.core.renumbering import former_names  # it knows other tools' projects, a sixth of all imports

    folder = path.removesuffix(name_of(path))
    before = (f"{folder}{name_of(name)}" for name in former_names(file.migration))
    return next((each for each in before if each in main_branch), "")


def _digests(file: File) -> set[str]:
    """SHA-256 (hex) of its bytes, and of those without the lines that `renumber` has put on top."""
    found, text = {file.migration.checksum}, file.migration.text
    while text.startswith("-- tidelock: was file "):
        text = text.partition("\n")[2]
        found |= {hashlib.sha256(f"{mark}{text}".encode()).hexdigest() for mark in ("", "\ufeff")}
    return found


@directory_rule(
    "HY030",
    "a critical table that no migration creates",
    Severity.ERROR,
    why="After every `apply` the table is looked for under that name and not found: the run ends with 8, or makes it "
    "from its fallback, and an init container waits for it (`tidelock wait`) until it gives up.",
    fix="name it in tidelock.toml as its CREATE TABLE does; ignore this rule when something else creates it",
)
def critical(directory: Directory) -> Iterator[Remark]:
    """`[[critical]] table` that is misspelt, or that another hand makes."""
    if not directory.critical:
        return
    from difflib import get_close_matches

    known = directory.known
    names = [name for name, each in known.tables.items() if each.place] + [*known.views, *known.aggregates]
    for place, table in directory.critical.items():
        if key(table) not in names and not _may_make(directory, key(table).rpartition(".")[2]):
            near = get_close_matches(key(table), names, n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            yield Remark(message=f"no migration creates {table}", hint=hint, place=place)


def _may_make(directory: Directory, name: str) -> bool:
    """The name stands in what nobody can read before it runs: built SQL, a file or statement with an error."""
    for file in directory.files:
        if file.script is None and name in file.migration.text.lower():
            return True
        unsure = (each for each in file.statements if each.runtime or each.facts.kind in (Kind.UNKNOWN, Kind.CODE))
        if any(name in each.text.lower() for each in unsure):
            return True
    return False
