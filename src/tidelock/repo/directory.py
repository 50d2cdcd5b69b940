"""A directory of migrations: (path, content) of each file, compressed ones unpacked, links followed."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from tidelock.core.source import SourceFile, is_migration_name
from tidelock.errors import SourceFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.mounting import Checked


class NoDirectory(UsageFault):
    """The directory of the migrations is not there."""

    code = "U004"

    def __init__(self, directory: Path, why: str = "") -> None:
        if why:
            hint = "give yourself the right to read and to enter it, or name another with --dir"
            super().__init__(f"{directory} cannot be read: {why}", hint=hint)
            return
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
    try:
        waiting = sorted(name for name in os.listdir(directory) if name.startswith(BEFORE))  # noqa: PTH208 - names
    except (FileNotFoundError, NotADirectoryError):
        raise NoDirectory(directory) from None
    except OSError as error:
        raise NoDirectory(directory, error.strerror or str(error)) from None
    if waiting:
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
    try:
        if not directory.is_dir():
            raise NoDirectory(directory)
        refuse_cut_off(directory)
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if is_migration_name(entry.name) and not is_folder(entry))
    except OSError as error:
        raise NoDirectory(directory, error.strerror or str(error)) from None
    shown = shown_path(directory)
    for name in names:
        yield f"{directory}/{name}", f"{shown}/{name}"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """A folder; a link to itself is none, and reading it tells what it is."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def at_once(path: str, flags: int) -> int:
    """Open without waiting until somebody writes, as opening a pipe would."""
    return os.open(path, flags | os.O_NONBLOCK)


def content(path: str, shown: str, checked: Sequence[Checked] = ()) -> bytes:
    """A file's bytes; .gz and .zst as what they contain. Raises BundleChanging for other than `checked`."""
    try:
        # A thousand small files: Path.open costs as much as reading.
        with open(path, "rb", opener=at_once) as file:
            if not S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(shown, "not a regular file")
            data = file.read()
        for each in checked:
            each.refuse_other(path, data)
        return unpacked(path, data)
    except OSError as error:
        raise Unreadable(shown, error.strerror or str(error)) from None


def unpacked(path: str, data: bytes) -> bytes:
    """Decompress by the name's ending. Raises OSError for content that does not unpack."""
    ending = path[-4:].lower()
    if ending.endswith(".gz"):
        import gzip
        import zlib

        try:
            return gzip.decompress(data)
        except (EOFError, zlib.error) as error:
            raise OSError(f"not a whole gzip file ({error})") from None
    if ending == ".zst":
        return b"".join(frames(data))
    return data


def frames(data: bytes) -> Iterator[bytes]:
    """What each frame of a .zst holds. Raises OSError when the last one is cut off, or is none."""
    import zstandard

    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            yield frame.decompress(data)
        except zstandard.ZstdError as error:
            raise OSError(f"not a whole zstd file ({error})") from None
        if not frame.eof:
            raise OSError("not a whole zstd file (its end is missing)")
        data = frame.unused_data


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
    """The text of a file that a script includes or copies from; bytes that are not UTF-8 as surrogates.

    Raises Unreadable, for what really lies outside of the directory as well.
    """
    real = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a link to itself
    data_link = directory / "..data"
    roots = [directory.resolve(), data_link.resolve()] if data_link.exists() else [directory.resolve()]
    if not any(real.is_relative_to(each) for each in roots):
        raise Unreadable(path, f"it is a link to what lies outside of {directory}")
    return content(path, path, checked).decode(errors="surrogateescape")
