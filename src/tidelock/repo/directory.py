"""A directory of migrations: (path, content) of each file, compressed ones unpacked, links followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.source import SourceFile, is_migration_name
from tidelock.errors import SourceFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.mounting import Checked


class NoDirectory(UsageFault):
    """The directory of the migrations is not there."""

    code = "U004"

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"{directory} is not a directory" if directory.exists() else f"there is no directory {directory}",
            hint="point --dir, or `[migrations] dir` in tidelock.toml, at the directory with the migrations",
        )


class Unreadable(SourceFault):
    """A file that the operating system does not let us read, or that does not unpack."""

    code = "S008"

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be read: {why}",
            hint="mend or remove the file",
        )


class OutsideDirectory(SourceFault):
    """An \\i or \\copy that reaches out of the migration directory."""

    code = "S009"

    def __init__(self, path: str, directory: Path) -> None:
        super().__init__(
            f"{path} lies outside of {directory}",
            hint="move the file into the migration directory: only what is there is under review and in the image",
        )


BEFORE = ".renumbering-"
"""In front of a name while `tidelock renumber` lets files change places."""


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


def refuse_cut_off(directory: Path) -> None:
    """Raise CutOff when files are on their way to new names."""
    if waiting := sorted(name for name in os.listdir(directory) if name.startswith(BEFORE)):  # noqa: PTH208 - names
        raise CutOff(directory, waiting)


def files(directory: Path) -> Iterator[SourceFile]:
    """The .sql files directly in the directory, compressed ones unpacked."""
    for path, shown in paths(directory):
        yield SourceFile(shown, content(path, shown))


def in_part(directory: Path) -> tuple[list[SourceFile], list[Unreadable]]:
    """The same files as far as they can be read, and what is wrong with the others."""
    found, faults = [], []
    for path, shown in paths(directory):
        try:
            found.append(SourceFile(shown, content(path, shown)))
        except Unreadable as fault:
            faults.append(fault)
    return found, faults


def mounted(directory: Path) -> dict[str, bytes]:
    """Path below the directory → bytes, of every file of a mounted volume; its own `..data` and `..2026_…` left out.

    Raises OSError while the volume is being changed.
    """
    if not directory.is_dir():
        raise NoDirectory(directory)
    found: dict[str, bytes] = {}
    waiting = [directory]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.name.startswith(".."):
                continue
            if path.is_dir():
                waiting.append(path)
            else:
                found[path.relative_to(directory).as_posix()] = path.read_bytes()
    return found


def paths(directory: Path) -> Iterator[tuple[str, str]]:
    """(path, as people see it) of each .sql file.

    A mounted ConfigMap shows each key as a link into `..data`; links are followed, and hidden names passed over.
    """
    if not directory.is_dir():
        raise NoDirectory(directory)
    refuse_cut_off(directory)
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if is_migration_name(entry.name) and not entry.is_dir())
    shown = shown_path(directory)
    for name in names:
        yield f"{directory}/{name}", f"{shown}/{name}"


def content(path: str, shown: str, checked: Sequence[Checked] = ()) -> bytes:
    """A file's bytes; .gz and .zst as what they contain. Raises BundleChanging for other than `checked`."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a thousand small files: Path.open costs as much as reading
            data = file.read()
        for each in checked:
            each.refuse_other(path, data)
        return unpacked(path, data)
    except OSError as error:
        raise Unreadable(shown, error.strerror or str(error)) from None


def unpacked(path: str, data: bytes) -> bytes:
    """Decompress by the name's ending. Raises OSError for content that does not unpack."""
    if path.endswith(".gz"):
        import gzip
        import zlib

        try:
            return gzip.decompress(data)
        except (EOFError, zlib.error) as error:
            raise OSError(f"not a whole gzip file ({error})") from None
    if path.endswith(".zst"):
        import zstandard

        try:
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        except zstandard.ZstdError as error:
            raise OSError(f"not a whole zstd file ({error})") from None
    return data


def shown_path(directory: Path) -> str:
    """The directory as people see it: relative to where they stand, when it lies below."""
    try:
        return str(directory.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(directory)


def is_volume(directory: Path) -> bool:
    """A kubelet fills it, and exchanges all of its files at once when a ConfigMap has changed."""
    return (directory / "..data").is_symlink()


def load_beside(directory: Path, path: str, checked: Sequence[Checked] = ()) -> str:
    """The text of a file that a script includes or copies from. Raises a SourceFault outside of the directory."""
    target = Path(path)
    root, real = directory.resolve(), target.resolve()
    data_link = directory / "..data"
    roots = [root, data_link.resolve()] if data_link.exists() else [root]
    if not any(real.is_relative_to(each) for each in roots):
        raise OutsideDirectory(path, directory)
    try:
        return content(str(target), path, checked).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"not UTF-8 at byte {error.start}") from None
