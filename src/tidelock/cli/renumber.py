"""`tidelock renumber`: show old and new names, ask, rename."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.cli import wiring
from tidelock.cli.verbs import agreed
from tidelock.config import load
from tidelock.core import renumbering
from tidelock.core.source import DOWN
from tidelock.errors import TidelockError
from tidelock.render.json import SCHEMA
from tidelock.render.text import table
from tidelock.repo import renumbering as disk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.core.renumbering import Renamed


def renumber(asked: Asked, out: Output, order: str, *, yes: bool) -> int:
    """`tidelock renumber`."""
    try:
        directory = wiring.targets(asked)[0].directory
        renamed = decide(asked, out, directory, order)
        if not any(each.old != each.new for each in renamed):
            out.show("the names are one clean sequence already", data(directory, renamed, 0))
            return 0
        references = disk.references(directory, renamed)
        if not out.json:
            out.show(shown(renamed, references), {})
        if not yes and not agreed(f"rename {sum(each.old != each.new for each in renamed)} files in {directory}? "):
            print("nothing was renamed", file=sys.stderr)
            return 0
        said = critical(asked, renamed)
        changed = disk.rename(directory, renamed)
    except TidelockError as error:
        return out.fail(error, "renumber")
    out.show(
        f"{len(renamed)} files in one sequence; {changed} other files name them anew. A database that has some of them "
        f"already: `tidelock adopt --observe`.{said}",
        data(directory, renamed, changed),
    )
    return 0


def critical(asked: Asked, renamed: Sequence[Renamed]) -> str:
    """Give the critical tables in tidelock.toml the new numbers of their migrations: what is to be said of that."""
    targets, path = load(asked.config)
    if path is None or not any(each.critical for each in targets):
        return ""
    if len(targets) > 1:
        return f" Look at `migration` of the critical tables in {wiring.shown(str(path))}: it has several databases."
    text, count, unclear = disk.settings(path, renamed)
    if count:
        path.write_text(text, encoding="utf-8")
    said = f" {wiring.shown(str(path))}: {count} critical tables have the new number." if count else ""
    if unclear:
        numbers = ", ".join(map(str, sorted(set(unclear))))
        said += f" Say in {wiring.shown(str(path))} which file `migration = {numbers}` of a critical table is now."
    return said


def decide(asked: Asked, out: Output, directory: Path, order: str) -> list[Renamed]:
    """Old and new names in the order that was asked for."""
    names = disk.names(directory)
    down = [name for name in names if DOWN.fullmatch(name)]
    if down:
        raise renumbering.DownFiles(sorted(down))
    listed: list[str] = []
    if order not in ("sort", "version-sort", "applied"):
        if not Path(order).is_file():
            raise renumbering.BadOrder(order, "it is none of the orders, and no such file is there")
        listed = [line.strip() for line in Path(order).read_text(encoding="utf-8").splitlines() if line.strip()]
    rank = applied_rank(asked, out, names) if order == "applied" else None
    return renumbering.renamed(renumbering.ordered(names, order, listed, rank))


def applied_rank(asked: Asked, out: Output, names: Sequence[str]) -> Mapping[str, int]:
    """Where each file stands in the ledger's order, by its number and words."""
    [target] = wiring.targets(asked)[:1]
    database = wiring.database_of(target, asked, out.sink())
    try:
        entries = list(database.observe().applied.values())
    finally:
        database.close()
    entries.sort(key=lambda each: (each.applied_at is None, each.applied_at, each.version))
    rank: dict[str, int] = {}
    for place, entry in enumerate(entries):
        same = [name for name in sorted(names) if renumbering.number_in(name) == entry.version]
        for name in sorted(same, key=lambda each: not renumbering.says(each, entry.description)):
            rank.setdefault(name, place * 1000 + len(rank))
    return rank


def shown(renamed: Sequence[Renamed], references: Mapping[Path, int]) -> str:
    """Old and new side by side, and who names them."""
    lines = [table([("", each.old, "→" if each.old != each.new else "=", each.new) for each in renamed])]
    if references:
        named = (f"{wiring.shown(str(path))} ({count}×)" for path, count in sorted(references.items()))
        lines += ["", f"also changed: {', '.join(named)}"]
    return "\n".join(lines)


def data(directory: Path, renamed: Sequence[Renamed], changed: int) -> dict[str, object]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "renumber",
        "directory": str(directory),
        "files": [{"old": each.old, "new": each.new} for each in renamed],
        "references_changed": changed,
    }
