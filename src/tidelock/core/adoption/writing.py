"""Originals → Tidelock's files: numbers, names, and a line that says what each was."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tidelock.core.adoption.match import encoded

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from tidelock.core.adoption.original import Original

MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that is to be written, and where its content comes from."""

    name: str
    text: str
    original: Original


def written(tool: str, originals: Sequence[Original], pending: Container[str] = ()) -> list[Written]:
    """The files, in the tool's order. Numbers stay when they give that order; otherwise they are made anew.

    `pending` are keys that the database does not have. They come last where numbers are made anew; where a number
    stays that lies below one that is applied, the file says that it may run out of order.
    """
    if (numbers := own_numbers(originals)) is None:
        originals = sorted(originals, key=lambda each: each.key in pending)
        numbers = [f"{number:03}" for number in range(1, len(originals) + 1)]
    last = max((at for at, each in enumerate(originals) if each.key not in pending), default=-1)
    return [
        Written(
            name=f"{number}_{each.description or 'unnamed'}.sql",
            text=content(tool, each, late=at < last and each.key in pending),
            original=each,
        )
        for at, (number, each) in enumerate(zip(numbers, originals, strict=True))
    ]


def own_numbers(originals: Sequence[Original]) -> list[str] | None:
    """The keys as numbers of files, when they ascend; as wide as the widest, so that names sort as they run."""
    keys = [each.key for each in originals]
    if not all(key.isascii() and key.isdigit() and len(key) <= MOST_DIGITS for key in keys):
        return None
    values = [int(key) for key in keys]
    if any(later <= earlier for earlier, later in pairwise(values)):
        return None
    width = max(3, *map(len, keys)) if keys else 3
    return [f"{value:0{width}}" for value in values]


def content(tool: str, original: Original, *, late: bool = False) -> str:
    """The file's text: what it was, how it is to run, what it does."""
    lines = [f"-- tidelock: was {tool} {encoded(original.key)}{more(original)}"]
    if late:
        lines.append("-- tidelock: out-of-order")
    if not original.transaction:
        lines.append("-- tidelock: no-transaction")
    if original.sql is None or not original.sql.strip():
        lines += ["", placeholder(original)]
        return "\n".join(lines)
    return "\n".join([*lines, "", original.sql.strip("\n")]) + "\n"


def more(original: Original) -> str:
    """What proves it, or what it comes after."""
    if original.after:
        return f" (after {', '.join(map(encoded, original.after))})"
    return f" ({' | '.join(original.sums)})" if original.sums else ""


def placeholder(original: Original) -> str:
    """For a migration whose SQL nobody knows: harmless where it is recorded as applied, and loud where it is not."""
    why = original.why_not or "it is empty"
    told = f"{original.path} was not turned into SQL: {why}. Write here what it does.".replace("'", "''")
    return f"DO $tidelock$BEGIN RAISE EXCEPTION '{told.replace('%', '%%')}'; END$tidelock$;\n"
