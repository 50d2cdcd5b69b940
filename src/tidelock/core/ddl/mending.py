"""The SQL that takes one difference back: from what a database has to what it should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.comparison import What
from tidelock.core.ddl import rights, tables, timescale
from tidelock.core.ddl.alteration import alter
from tidelock.core.ddl.creation import create
from tidelock.core.ddl.document import after
from tidelock.core.ddl.order import ordered
from tidelock.core.ddl.removal import drop
from tidelock.core.ddl.words import above, bare
from tidelock.core.snapshot import reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.comparison import Difference
    from tidelock.core.snapshot import Attributes, Key, Snapshot

ERASES = "-- erases every bucket whose raw data is gone: keep a copy of its rows first"
WORDS = {"continuous aggregate": "MATERIALIZED VIEW", "procedure": "PROCEDURE"}


def mend(wanted: Snapshot, found: Snapshot, difference: Difference) -> str:
    """The statements, one under the other; a comment where there is no SQL for it."""
    if difference.what is What.ADDED:
        return drop(found, difference.key)
    if difference.what is What.REMOVED:
        return "\n".join(restore(wanted, found, difference.key))
    return "\n".join(change(wanted, found, difference))


def restore(wanted: Snapshot, found: Snapshot, key: Key) -> list[str]:
    """Make an object again, with everything that is part of it."""
    if key[0] == "hypertable":
        return list(timescale.hypertable(wanted, key[1], wanted.objects[key], migrate=True))
    lines: list[str] = []
    for each in ordered(wanted, [key, *below(wanted, key)]):
        if key[0] == "column" == each[0] and each != key and wanted.objects[each].get("inherited"):
            lines += tables.inherited(wanted, each)  # ADD COLUMN has made it in the children as well
        elif made := create(wanted, each):
            lines += [made, *without_defaults(wanted, found, each)]
    return [*lines, *(line for each in sorted({key, *below(wanted, key)}) for line in after(wanted, each))]


DEFAULTS = {
    "TABLES": ("table", "view", "materialized view", "continuous aggregate"),
    "SEQUENCES": ("sequence",),
    "FUNCTIONS": ("function", "procedure", "aggregate"),
    "TYPES": ("type", "domain"),
    "SCHEMAS": ("schema",),
}


def without_defaults(wanted: Snapshot, found: Snapshot, key: Key) -> Iterator[str]:
    """What takes back that default privileges gave to an object that is made by hand: it has the rights of its own."""
    for (kind, _), attributes in sorted(found.objects.items()):
        if kind != "default privileges" or key[0] not in DEFAULTS[attributes["on"]] or "maker" in attributes:
            continue
        if attributes.get("schema") not in (None, above(key[1].partition("(")[0])):
            continue
        own = wanted.objects.get(("grant", f"{key[0]} {key[1]} to {attributes['to']}"), {})
        given: Attributes = {
            name: attributes[name]
            for name in ("granted", "revoked")
            if name in attributes and attributes[name] != own.get(name)
        }
        yield from rights.ungrant({**given, "on": key[0], "object": key[1], "to": attributes["to"]})


def below(wanted: Snapshot, key: Key) -> Iterator[Key]:
    """What is part of an object, and what is part of that."""
    parts = wanted.parts()
    seen, waiting = {key}, [key]
    while waiting:
        for each in parts.get(waiting.pop(), ()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
                yield each


def change(wanted: Snapshot, found: Snapshot, difference: Difference) -> list[str]:
    """Rename it back, alter it, or drop it and make it again."""
    changes = dict(difference.attributes)
    key = difference.key
    lines: list[str] = []
    if "name" in changes:
        lines += rename(key, str(changes.pop("name")[1]))
    if not changes:
        return lines
    is_now = found.objects.get(key) or {**wanted.objects[key], **{name: now for name, (_, now) in changes.items()}}
    if key[0] == "setting":
        return [create(wanted, key)]
    altered = alter(wanted, key, is_now, changes)
    if altered is not None:
        return [*lines, *altered]
    return [*lines, *again(wanted, found, key)]


def again(wanted: Snapshot, found: Snapshot, key: Key) -> list[str]:
    """DROP and CREATE; a view that others need is replaced, as it cannot be dropped, unless they are views as well."""
    attributes = wanted.objects[key]
    if key[0] == "view" and (others := users(found, key)):
        if any(each[0] != "view" for each in others):
            return [create(wanted, key).replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)]
        return [
            *(drop(found, each) for each in reversed(others)),
            drop(found, key),
            *restore(wanted, found, key),
            *(line for each in others for line in restore(wanted if each in wanted.objects else found, found, each)),
        ]
    warning = [ERASES] if key[0] == "continuous aggregate" else []
    if key[0] == "index" and attributes.get("invalid"):
        return [f"-- {key[1]} is invalid where it should be: an index build that failed belongs to no migration"]
    return [*warning, drop(found, key), *restore(wanted, found, key)]


def users(found: Snapshot, key: Key) -> list[Key]:
    """What needs an object and is no part of it, and what needs that, each after what it needs."""
    seen: set[Key] = set()
    waiting = [key]
    while waiting:
        name = reference(waiting.pop())
        for each, attributes in found.objects.items():
            if each not in seen and name in attributes.get("needs", ()) and name not in attributes.get("part_of", ()):
                seen.add(each)
                waiting.append(each)
    return ordered(found, seen)


def rename(key: Key, name_now: str) -> list[str]:
    """ALTER … RENAME TO, or SET SCHEMA."""
    kind, name = key
    if kind in ("column", "constraint"):
        return [f"ALTER TABLE {above(name)} RENAME {kind.upper()} {bare(name_now)} TO {bare(name)};"]
    if kind in ("trigger", "rule", "policy"):
        return [f"ALTER {kind.upper()} {bare(name_now)} ON {above(name)} RENAME TO {bare(name)};"]
    word = WORDS.get(kind, kind.upper())
    stem, _, arguments = name.partition("(")
    stem_now = name_now.partition("(")[0]
    suffix = f"({arguments}" if arguments else ""
    lines = []
    if above(stem_now) != above(stem):
        lines.append(f"ALTER {word} {stem_now}{suffix} SET SCHEMA {above(stem)};")
        stem_now = f"{above(stem)}.{bare(stem_now)}"
    if bare(stem_now) != bare(stem):
        lines.append(f"ALTER {word} {stem_now}{suffix} RENAME TO {bare(stem)};")
    return lines
