"""What an adoption found, as text and as data. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tidelock.core.adoption.match import Verdict
from tidelock.render.json import SCHEMA
from tidelock.render.text import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.adoption.match import Match

MARKS = {Verdict.APPLIED: "✓", Verdict.PENDING: "·", Verdict.KNOWN: "=", Verdict.ASK: "?"}


def text(target: str, source: str, matches: Sequence[Match], left_over: Sequence[str]) -> str:
    """The table: what will be recorded, and why."""
    counts = Counter(each.verdict for each in matches)
    words = ", ".join(f"{counts[each]} {name}" for each, name in NAMES.items() if counts[each])
    rows = [
        (
            MARKS[each.verdict],
            each.migration.label,
            each.key if each.key != str(each.migration.version) else "",
            each.evidence,
        )
        for each in matches
    ]
    lines = [f"{target}  {source}: {words or 'no files'}", "", table(rows)]
    if left_over:
        shown = ", ".join(left_over[:5]) + (f" and {len(left_over) - 5} more" if len(left_over) > 5 else "")
        lines += ["", f"in its history and without a file, left alone: {shown}"]
    return "\n".join(lines)


NAMES = {
    Verdict.APPLIED: "applied",
    Verdict.PENDING: "pending",
    Verdict.KNOWN: "in the ledger already",
    Verdict.ASK: "to be settled",
}


def data(
    target: str,
    source: str,
    matches: Sequence[Match],
    left_over: Sequence[str],
    *,
    recorded: Sequence[int],
    written: int,
) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "adopt",
        "target": target,
        "source": source,
        "files": [
            {
                "version": each.migration.version,
                "path": each.migration.path,
                "was": each.key or None,
                "verdict": "ask" if each.verdict is Verdict.ASK else each.verdict.name.lower(),
                "evidence": each.evidence,
            }
            for each in matches
        ],
        "left_over": list(left_over),
        "written": written,
        "recorded": list(recorded),
    }
