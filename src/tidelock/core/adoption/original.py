"""Original: one migration as another tool has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidelock.errors import SourceFault

Files = Mapping[str, bytes]
"""Path below the project → content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One migration of another tool, in that tool's order."""

    key: str
    """What the tool's history calls it."""
    path: str
    description: str
    sql: str | None = None
    """What it does when it is applied; None when that is not SQL, or cannot be known from the file alone."""
    why_not: str = ""
    """Why there is no SQL."""
    sums: tuple[str, ...] = ()
    """Checksums that the tool may have recorded for this very content; empty when it keeps none."""
    transaction: bool = True
    after: tuple[str, ...] = ()
    """Keys that must have been applied when this one was; for tools that record only the last ones."""
    repeatable: bool = False
    """It runs again whenever it changes."""


class TwoOfOne(SourceFault):
    """Two files of a tool are one version to it: which of them a row of its history means cannot be told."""

    code = "S019"

    def __init__(self, title: str, key: str, paths: Sequence[str]) -> None:
        super().__init__(
            f"{' and '.join(paths)} are both version {key} of {title}",
            hint="point --dir at one project; or remove the file that was not applied, or give it a number of its own",
        )


def refuse_twice(title: str, originals: Sequence[Original], same: Callable[[str], object] = str) -> None:
    """Raise TwoOfOne for files whose keys are the same to their tool."""
    seen: dict[object, Original] = {}
    for each in originals:
        earlier = seen.setdefault(same(each.key), each)
        if earlier is not each:
            raise TwoOfOne(title, each.key, [earlier.path, each.path])


def text_of(data: bytes) -> str:
    """Content as text, without a byte order mark, with LF."""
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")


def words(name: str) -> str:
    """A part of a file's name as a description: `create_customers`."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower()


def base(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def without_lines(text: str, pattern: re.Pattern[str]) -> str:
    """The text without the lines that match."""
    return "\n".join(line for line in text.split("\n") if not pattern.match(line))


def in_order(originals: Mapping[str, Original]) -> list[Original]:
    """Each after those that it names in `after`, otherwise as they come. What nobody has is passed over."""
    done: dict[str, Original] = {}

    def take(key: str, above: tuple[str, ...]) -> None:
        if key in done or key in above or key not in originals:
            return
        for earlier in originals[key].after:
            take(earlier, (*above, key))
        done[key] = originals[key]

    for key in originals:
        take(key, ())
    return list(done.values())
