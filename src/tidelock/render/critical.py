"""How the critical tables stand, as text and as data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.critical import Footing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.critical import Standing


def text(standings: Sequence[Standing]) -> str:
    """What a person is told when one of them does not stand on its migration; empty when all do."""
    fallen = [each for each in standings if each.footing is Footing.FALLBACK]
    missing = [each for each in standings if each.footing is Footing.MISSING]
    lines = []
    if fallen:
        made = "made now" if any(each.made_now for each in fallen) else "made by an earlier run"
        lines.append(f"! on its fallback, {made}: {', '.join(each.critical.table for each in fallen)}")
    lines += [indented(f"✗ {each.critical.table}: {each.why}") for each in missing]
    if fallen or missing:
        lines.append(advice(fallen, missing))
    return "\n".join(lines)


def advice(fallen: Sequence[Standing], missing: Sequence[Standing]) -> str:
    """Can the application start, which versions are not applied, what to do."""
    versions = sorted({each.critical.migration for each in (*fallen, *missing) if each.critical.migration is not None})
    start = "The application cannot start: a critical table is missing." if missing else "The application can start."
    are = "Version {} is" if len(versions) == 1 else "Versions {} are"
    which = f" {are.format(', '.join(map(str, versions)))} not applied:" if versions and fallen else ""
    do = "mend" if which else "Mend"
    return f"  {start}{which} {do} what failed and run `tidelock apply` again; `tidelock verify` shows how it stands."


def indented(shown: str) -> str:
    """Its lines after the first one moved in."""
    return shown.replace("\n", "\n    ")


def summary(standings: Sequence[Standing]) -> str:
    """`Verified: 4 critical tables.`"""
    count = len(standings)
    return f" Verified: {count} critical table{'' if count == 1 else 's'}." if count else ""


def data(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "table": each.critical.table,
            "footing": each.footing.value,
            "migration": each.critical.migration,
            "made_now": each.made_now,
            "why": each.why or None,
        }
        for each in standings
    ]
