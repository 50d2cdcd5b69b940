"""Drift as text and as data. Pure."""

from __future__ import annotations

import json
from datetime import UTC
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from tidelock.core.comparison import What
from tidelock.render.json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tidelock.core.comparison import Difference
    from tidelock.core.drift import Drift, Item

WORDS = {
    What.ADDED: ("+", "is there, and no applied migration makes it"),
    What.REMOVED: ("-", "is gone, and the applied migrations make it"),
    What.CHANGED: ("~", "is another"),
}


def text(found: Drift) -> str:
    """Each difference with what, where and the SQL that takes it back."""
    since = f", and its schema as adopted on {found.adopted_at:%Y-%m-%d %H:%M} UTC" if found.adopted_at else ""
    lines = [f"{found.target}  against its {found.applied} applied migrations{since}, run on {found.shadow}", ""]
    for item in found.items:
        lines += [*of_item(item), ""]
    lines += [f"note: {each}" for each in found.notes]
    ignored = f", {found.ignored} ignored" if found.ignored else ""
    total = len(found.items)
    lines.append(f"{total} difference{'' if total == 1 else 's'}{ignored}." + ("   exit 1" if total else ""))
    return "\n".join(lines)


def of_item(item: Item) -> Iterator[str]:
    """One difference."""
    told = item.difference
    sign, words = WORDS[told.what]
    if "name" in told.attributes:
        words = f"is called {told.attributes['name'][1]}"
    yield f" {sign} {told.kind} {told.name} {words}"
    yield from (f"     {line}" for line in values(told))
    yield from (f"     {line}" for line in when(item))
    yield from (f"       {line}" for line in item.mend.splitlines())


def when(item: Item) -> Iterator[str]:
    """What is known of when it came to be so."""
    if made := item.made:
        applied = f", applied {moment(made.at)}" if made.at else ""
        yield (
            f"last made or changed by migration {made.version} {made.description.replace('_', ' ')}".rstrip() + applied
        )
    if item.written:
        yield f"so since {moment(item.written)} at the latest"


def moment(at: datetime) -> str:
    """In UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def values(told: Difference) -> Iterator[str]:
    """What changed, from what it should be to what it is."""
    for name, (before, after) in sorted(told.attributes.items()):
        if name == "name":
            continue
        short = [shown(each) for each in (before, after)]
        if all("\n" not in each for each in short):
            yield f"{name.replace('_', ' ')}: {short[0]} → {short[1]}"
            continue
        lines = unified_diff(short[0].splitlines(), short[1].splitlines(), lineterm="", n=1)
        yield f"{name.replace('_', ' ')}:"
        yield from (f"  {line}" for line in lines if not line.startswith(("---", "+++", "@@")))


def shown(value: Any) -> str:
    """One value for people."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def data(found: Drift) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "command": "drift",
        "target": found.target,
        "shadow": found.shadow,
        "applied": found.applied,
        "adopted_at": found.adopted_at.isoformat() if found.adopted_at else None,
        "differences": [
            {
                "kind": item.difference.kind,
                "name": item.difference.name,
                "what": item.difference.what.value,
                "attributes": {
                    name: {"wanted": before, "found": after}
                    for name, (before, after) in sorted(item.difference.attributes.items())
                },
                "mend": item.mend,
                "migration": {
                    "version": item.made.version,
                    "description": item.made.description,
                    "applied_at": item.made.at.astimezone(UTC).isoformat() if item.made.at else None,
                }
                if item.made
                else None,
                "so_since_at_the_latest": item.written.astimezone(UTC).isoformat() if item.written else None,
            }
            for item in found.items
        ],
        "ignored": found.ignored,
        "notes": list(found.notes),
    }
