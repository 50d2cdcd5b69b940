"""Files that are made from others and committed: what has to be written or removed so that they are current."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that is not as it should be."""

    path: Path
    content: str | None
    """None for one that goes."""
    there: bool
    foreign: bool = False
    """What is there was not made from others: somebody wrote it."""
    executable: bool = False

    @property
    def what(self) -> str:
        """What is wrong with it."""
        return "left over" if self.content is None else "stale" if self.there else "missing"

    @property
    def done(self) -> str:
        """What was done about it."""
        return "removed" if self.content is None else "wrote" if self.there else "made"

    @property
    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {"path": str(self.path), "what": self.what}


class NotOurs(UsageFault):
    """A file that would be written over was not made by us, or from another tidelock.toml or for another database."""

    code = "U048"

    def __init__(self, paths: Sequence[str]) -> None:
        one = len(paths) == 1
        super().__init__(
            f"{', '.join(paths[:FEW])}{' …' if len(paths) > FEW else ''} {'was' if one else 'were'} not written by "
            "`tidelock kube render` from this tidelock.toml for this database; nothing was changed",
            hint=f"commit {'it' if one else 'them'}, then pass --force to replace {'it' if one else 'them'}; or name "
            "another directory (--out, [kube] out)",
        )


def changes(
    folder: Path, files: Mapping[str, str], *, ours: Callable[[Path], bool], executable: bool = False
) -> Iterator[Change]:
    """What differs below the folder from these files. `ours`: a file that is there may be written over."""
    for name, content in files.items():
        path = folder / name
        there = path.is_file()
        if not there or path.read_bytes() != content.encode():
            foreign = there and not ours(path)
            yield Change(path=path, content=content, there=there, foreign=foreign, executable=executable)


def left_over(folders: Iterable[Path], keep: Container[Path], *, ours: Callable[[Path], bool]) -> Iterator[Change]:
    """What is there below the folders from another time: `ours`, and none of those to keep."""
    for path in sorted({path for folder in folders if folder.is_dir() for path in folder.rglob("*.yaml")}):
        if path not in keep and ours(path):
            yield Change(path=path, content=None, there=True)


def begins(path: Path, text: str) -> bool:
    """The file begins with the text."""
    with path.open("rb") as file:
        return file.read(len(text.encode())) == text.encode()


def carry_out(wanted: Sequence[Change], *, force: bool) -> None:
    """Write and remove. Raises NotOurs, before anything, for files that somebody wrote, unless with `force`."""
    foreign = [os.path.relpath(each.path) for each in wanted if each.foreign]
    if foreign and not force:
        raise NotOurs(foreign)
    for each in wanted:
        if each.content is None:
            each.path.unlink()
            continue
        each.path.parent.mkdir(parents=True, exist_ok=True)
        each.path.write_bytes(each.content.encode())
        if each.executable:
            each.path.chmod(0o755)
