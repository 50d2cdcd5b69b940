"""What became of a snapshot's files, as text and as data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.render.json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.snapshot import Snapshot


def text(paths: Sequence[str], taken: Snapshot, *, changed: bool) -> str:
    """Where it was written."""
    return f"{' and '.join(paths)}: {len(taken.objects)} objects, {'written' if changed else 'unchanged'}."


def data(paths: Sequence[str], taken: Snapshot, *, changed: bool) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "snapshot",
        "files": list(paths),
        "objects": len(taken.objects),
        "changed": changed,
        "stale": [],
    }


def check_text(paths: Sequence[str], stale: Sequence[str]) -> str:
    """Whether it is up to date, and if not, in what."""
    if not stale:
        return f"{' and '.join(paths)}: up to date."
    lines = [f" ✗ {each}" for each in stale]
    return "\n".join([f"{' and '.join(paths)}: stale.", *lines, "Write it anew: `tidelock snapshot`.   exit 1"])


def check_data(paths: Sequence[str], stale: Sequence[str]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "snapshot",
        "files": list(paths),
        "objects": None,
        "changed": False,
        "stale": list(stale),
    }
