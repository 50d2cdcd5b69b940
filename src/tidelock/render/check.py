"""Checks as text and as data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.render.json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.check import Check


def text(target: str, checks: Sequence[Check]) -> str:
    """A line for each check, and under those that are not ok what is wrong and what mends it."""
    lines = [target, ""]
    for each in checks:
        lines.append(f" {'✓' if each.ok else '✗'} {each.name:<34} {each.about}")
        for flaw in each.flaws:
            lines.append(f"     {flaw.what}")
            lines += [f"       {flaw.mend}"] if flaw.mend else []
    wrong = sum(len(each.flaws) for each in checks)
    lines += ["", f"{wrong} to mend.   exit 8" if wrong else "All well."]
    return "\n".join(lines)


def data(target: str, checks: Sequence[Check]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "verify",
        "target": target,
        "ok": all(each.ok for each in checks),
        "checks": [
            {
                "name": each.name,
                "about": each.about,
                "ok": each.ok,
                "flaws": [{"what": flaw.what, "mend": flaw.mend or None} for flaw in each.flaws],
            }
            for each in checks
        ],
    }
