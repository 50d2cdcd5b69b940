"""Renaming migrations on the disk, and what else in the repository names them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.renumbering import marked, number_in
from tidelock.core.source import is_migration_name
from tidelock.errors import SourceFault
from tidelock.repo import git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.renumbering import Renamed

MOST_BYTES = 1 << 20
BEFORE = ".renumbering-"
"""In front of a name while the files change places."""


class CutOff(SourceFault):
    """An earlier renumber ended in the middle."""

    code = "S016"

    def __init__(self, directory: Path, found: Sequence[str]) -> None:
        super().__init__(
            f"{directory}: an earlier renumber was cut off; {len(found)} files are on their way to new names",
            hint="take it all back (`git restore --staged --worktree .` in the repository), or finish it: remove "
            f"“{BEFORE}” from these names",
            detail="\n".join(found),
        )


def names(directory: Path) -> list[str]:
    """The names of the SQL files, numbered or not. Raises CutOff when some are on their way."""
    if waiting := sorted(each.name for each in directory.iterdir() if each.name.startswith(BEFORE)):
        raise CutOff(directory, waiting)
    return [each.name for each in directory.iterdir() if each.is_file() and is_migration_name(each.name)]


def references(directory: Path, renamed: Sequence[Renamed]) -> dict[Path, int]:
    """Text files of the repository that name one of the files, and how often: kustomization.yaml, ConfigMaps, \\ir."""
    pattern = mention(renamed)
    found = {}
    for path in texts(directory):
        count = len(pattern.findall(path.read_text(encoding="utf-8", errors="ignore")))
        if count:
            found[path] = count
    return found


def texts(directory: Path) -> list[Path]:
    """Tracked files of the repository that are small; without git those of the directory."""
    root = git.run(directory, "rev-parse", "--show-toplevel")
    listed = git.run(directory, "ls-files", "-z", "--full-name", str(root)) if root else None
    paths = [Path(root or ".") / name for name in (listed or "").split("\0") if name] or list(directory.iterdir())
    return [each for each in paths if each.is_file() and not each.is_symlink() and each.stat().st_size <= MOST_BYTES]


def mention(renamed: Sequence[Renamed]) -> re.Pattern[str]:
    """Any of the old names, as a whole."""
    names_ = "|".join(re.escape(each.old) for each in renamed if each.old != each.new)
    return re.compile(rf"(?<![\w.-])(?:{names_ or '(?!)'})(?![\w.-])")


def rename(directory: Path, renamed: Sequence[Renamed]) -> int:
    """Rename, mark, and change what names them; returns how many other files were changed.

    By way of names that nobody has: two files may change places. With git, as moves.
    """
    new = {each.old: each.new for each in renamed}
    pattern = mention(renamed)
    changed = 0
    for path in references(directory, renamed):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        replaced = pattern.sub(lambda found: new[found[0]], text)
        path.write_text(replaced, encoding="utf-8", errors="surrogateescape", newline="")
        changed += path.parent.resolve() != directory.resolve() or path.name not in new
    for each in renamed:
        move(directory / each.old, directory / f"{BEFORE}{each.new}")
    for each in renamed:
        path = directory / each.new
        move(directory / f"{BEFORE}{each.new}", path)
        if number_in(each.old) != number_in(each.new) and path.suffix == ".sql":
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            path.write_text(marked(text, each.old), encoding="utf-8", errors="surrogateescape", newline="")
    return changed


def move(old: Path, new: Path) -> None:
    """`git mv`, or a plain rename where git does not track the file. Never over another file."""
    if new.exists():
        raise FileExistsError(new)
    if not git.move(old, new):
        old.rename(new)
