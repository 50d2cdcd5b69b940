"""Files that are made from others and committed: what has to be written or removed so that they are current."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that is not as it should be."""

    path: Path
    content: str | None
    """None for one that goes."""
    there: bool
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


def changes(
    folder: Path, files: Mapping[str, str], *, written_by: str = "", executable: bool = False
) -> Iterator[Change]:
    """What differs below the folder from these files.

    A file that is none of them and begins with `written_by` is ours from another time, and goes.
    """
    for name, content in files.items():
        path = folder / name
        there = path.is_file()
        if not there or path.read_bytes() != content.encode():
            yield Change(path=path, content=content, there=there, executable=executable)
    if written_by and folder.is_dir():
        for path in sorted(folder.rglob("*.yaml")):
            if path.relative_to(folder).as_posix() not in files and begins(path, written_by):
                yield Change(path=path, content=None, there=True)


def begins(path: Path, text: str) -> bool:
    """The file begins with the text."""
    with path.open("rb") as file:
        return file.read(len(text.encode())) == text.encode()


def carry_out(wanted: Sequence[Change]) -> None:
    """Write and remove."""
    for each in wanted:
        if each.content is None:
            each.path.unlink()
            continue
        each.path.parent.mkdir(parents=True, exist_ok=True)
        each.path.write_bytes(each.content.encode())
        if each.executable:
            each.path.chmod(0o755)
