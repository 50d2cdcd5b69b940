"""Renaming migrations on the disk, and what else in the repository names them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.renumbering import marked, number_in
from tidelock.core.source import is_migration_name
from tidelock.repo import git
from tidelock.repo.directory import BEFORE, content, refuse_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.core.renumbering import Renamed

MOST_BYTES = 1 << 20


def names(directory: Path) -> list[str]:
    """The names of the SQL files, numbered or not. Raises CutOff when some are on their way."""
    refuse_cut_off(directory)
    return [each.name for each in directory.iterdir() if each.is_file() and is_migration_name(each.name)]


def references(directory: Path, renamed: Sequence[Renamed]) -> dict[Path, int]:
    """Text files of the repository that name one of the files, and how often: kustomization.yaml, ConfigMaps, \\ir."""
    pattern = mention(renamed)
    found = {}
    for path in texts(directory):
        count = replaced(path, directory, pattern, lambda name: name)[1]
        if count:
            found[path] = count
    return found


def replaced(path: Path, directory: Path, pattern: re.Pattern[str], new: Callable[[str], str]) -> tuple[str, int]:
    """A file's text with new names, and how many. In migrations only behind a backslash: a literal is none of ours.

    A name of a file that lies beside, in another directory, is that file's.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    inside = path.parent.resolve() == directory.resolve()
    migration = inside and is_migration_name(path.name)
    count = 0

    def change(found: re.Match[str]) -> str:
        nonlocal count
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if (migration and "\\" not in line) or (not inside and (path.parent / found[0]).exists()):
            return found[0]
        count += 1
        return new(found[0])

    return pattern.sub(change, text), count


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


CRITICAL = re.compile(r"^(?P<head>[ \t]*migration[ \t]*=[ \t]*)(?P<number>\d+)", re.MULTILINE)
"""The migration of a `[[critical]]` table in tidelock.toml; no other table has such a key."""


def settings(path: Path, renamed: Sequence[Renamed]) -> tuple[str, int, list[int]]:
    """tidelock.toml with the new numbers of critical tables' migrations, how many, and those that may be several."""
    files: dict[int | None, list[Renamed]] = {}
    for each in renamed:
        files.setdefault(number_in(each.old), []).append(each)
    unclear: list[int] = []
    count = 0

    def change(found: re.Match[str]) -> str:
        nonlocal count
        number = int(found["number"])
        same = files.get(number, [])
        if len(same) > 1:
            unclear.append(number)
        if len(same) != 1 or number_in(same[0].new) == number:
            return found[0]
        count += 1
        return f"{found['head']}{number_in(same[0].new)}"

    return CRITICAL.sub(change, path.read_text(encoding="utf-8")), count, unclear


def rename(directory: Path, renamed: Sequence[Renamed]) -> int:
    """Rename, mark, and change what names them; returns how many other files were changed.

    By way of names that nobody has: two files may change places. With git, as moves.
    """
    new = {each.old: each.new for each in renamed}
    pattern = mention(renamed)
    changed = 0
    for path in references(directory, renamed):
        text, _ = replaced(path, directory, pattern, new.__getitem__)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        changed += path.parent.resolve() != directory.resolve() or path.name not in new
    for each in renamed:
        move(directory / each.old, directory / f"{BEFORE}{each.new}")
    for each in renamed:
        path = directory / each.new
        move(directory / f"{BEFORE}{each.new}", path)
        if number_in(each.old) != number_in(each.new):
            mark(path, each.old)
    return changed


def move(old: Path, new: Path) -> None:
    """`git mv`, or a plain rename where git does not track the file. Never over another file."""
    if new.exists():
        raise FileExistsError(new)
    if not git.move(old, new):
        old.rename(new)


def mark(path: Path, old: str) -> None:
    """Write into a file what it was; into a compressed one, too."""
    text = marked(content(str(path), path.name).decode(errors="surrogateescape"), old)
    data = text.encode(errors="surrogateescape")
    if path.suffix.lower() == ".gz":
        import gzip

        data = gzip.compress(data, mtime=0)
    elif path.suffix.lower() == ".zst":
        import zstandard

        data = zstandard.compress(data)
    path.write_bytes(data)
