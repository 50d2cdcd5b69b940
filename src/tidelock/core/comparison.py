"""The difference of two snapshots: one for each change that somebody made, not one for each trace of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tidelock.core.renaming import renamings, split
from tidelock.core.snapshot import defining, key_of, wholes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.snapshot import Attributes, Key, Snapshot


PARENTS = frozenset({"inherits", "partition_of"})
"""Attributes of a table that say from whom it inherits."""


class What(StrEnum):
    """What became of an object, from the first snapshot to the second."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One change. `attributes` has both values of each that changed; None is where it is absent."""

    kind: str
    name: str
    """As the first snapshot has it, when both do."""
    what: What
    attributes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """For CHANGED. `name` is among them when the object was renamed."""

    @property
    def key(self) -> Key:
        """(kind, name)."""
        return self.kind, self.name

    def __str__(self) -> str:
        """`column public.t.a changed: type`."""
        names = f": {', '.join(sorted(self.attributes))}" if self.attributes else ""
        return f"{self.kind} {self.name} {self.what}{names}"


def difference(first: Snapshot, second: Snapshot) -> tuple[Difference, ...]:
    """What changed from the first to the second, in order."""
    renamed, second = renamings(first, second)
    gone = first.objects.keys() - second.objects.keys()
    new = second.objects.keys() - first.objects.keys()
    changed = changes(first, second)
    for old, name in renamed.items():
        changed.setdefault(old, {})["name"] = (old[1], name)
    found = [
        *(Difference(kind=kind, name=name, what=What.REMOVED) for kind, name in whole_ones(gone, first)),
        *(
            Difference(kind=kind, name=name, what=What.ADDED)
            for kind, name in whole_ones(new, second, apart=("schema",))
            if not on_its_own_now((kind, name), changed, second) and not of_a_parent((kind, name), second)
        ),
        *(
            Difference(kind=key[0], name=key[1], what=What.CHANGED, attributes=values)
            for key, values in changed.items()
            if not follows(key, values, changed, first)
        ),
    ]
    return tuple(sorted(found, key=lambda each: (each.kind, each.name, each.what)))


def whole_ones(keys: set[Key], snapshot: Snapshot, apart: tuple[str, ...] = ()) -> list[Key]:
    """Those of which no whole came or went along. What came into a new schema (`apart`) was made by itself."""
    return [
        key
        for key in keys
        if not any(whole in keys and whole[0] not in apart for whole in wholes(snapshot.objects[key]))
    ]


def on_its_own_now(key: Key, changed: Mapping[Key, Mapping[str, Any]], second: Snapshot) -> bool:
    """What a table had from its parent is its own, because it left the parent."""
    return any(PARENTS & changed.get(whole, {}).keys() for whole in wholes(second.objects[key]))


def of_a_parent(key: Key, snapshot: Snapshot) -> bool:
    """A constraint that the parent has as well: that it is the child's own too no SQL takes back."""
    if key[0] != "constraint":
        return False
    table, _, name = split(key[1])
    parents = snapshot.objects.get(("table", table), {}).get("inherits", ())
    theirs = (snapshot.objects.get(("constraint", f"{parent}.{name}"), {}) for parent in parents)
    return any(each.get("definition") == snapshot.objects[key]["definition"] for each in theirs)


def changes(first: Snapshot, second: Snapshot) -> dict[Key, dict[str, tuple[Any, Any]]]:
    """Of every object that both have, the attributes that differ."""
    found = {}
    for key, before in first.objects.items():
        after = second.objects.get(key)
        if after is None or before == after:
            continue
        before, after = defining(before), defining(after)
        if key[0] == "publication":  # a table that came or went is told of by itself
            before, after = published(before, second), published(after, first)
        values = differing(key, before, after)
        if values and values.keys() != {"inherited"}:  # whether it is the child's own as well: no SQL takes that back
            found[key] = values
    return found


def differing(key: Key, before: Attributes, after: Attributes) -> dict[str, tuple[Any, Any]]:
    """The attributes of one object that differ."""
    if key[0] == "column order":  # a column that came or went is told of by itself
        both = set(before["columns"]) & set(after["columns"])
        before, after = ({"columns": [name for name in each["columns"] if name in both]} for each in (before, after))
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def published(attributes: Attributes, other: Snapshot) -> Attributes:
    """A publication without the tables that the other snapshot does not have."""
    tables = {name: how for name, how in attributes.get("tables", {}).items() if ("table", name) in other.objects}
    return {**attributes, "tables": tables}


CASTS = re.compile(
    r"::(?:\"[^\"]+\"|[\w.]+)(?: (?:varying|precision|with(?:out)? time zone))?(?:\(\d+(?:,\d+)?\))?(?:\[\])?"
)


def follows(
    key: Key, values: Mapping[str, tuple[Any, Any]], changed: Mapping[Key, Mapping[str, Any]], first: Snapshot
) -> bool:
    """The change is only a trace of another one."""
    attributes = first.objects[key]
    if "name" in values and any("name" in changed.get(each, {}) for each in above(key, first)):
        return True  # what moves to another schema takes its parts along
    for whole in wholes(attributes):
        if whole[0] == key[0] and all(changed.get(whole, {}).get(name) == value for name, value in values.items()):
            return True  # a partition's column with its parent's
    needed = {each: changed[each] for each in map(key_of, attributes.get("needs", ())) if each in changed}
    return any(explains(each, told, values) for each, told in needed.items())


def above(key: Key, snapshot: Snapshot) -> set[Key]:
    """What an object is part of, and what that is part of."""
    found: set[Key] = set()
    waiting = [key]
    while waiting:
        for whole in wholes(snapshot.objects.get(waiting.pop(), {})):
            if whole not in found:
                found.add(whole)
                waiting.append(whole)
    return found


def explains(cause: Key, told: Mapping[str, Any], values: Mapping[str, tuple[Any, Any]]) -> bool:
    """Only the casts to a column's type, or a value of an enum, are printed otherwise."""
    if cause[0] == "column" and "type" in told:
        return all(without_casts(before) == without_casts(after) for before, after in values.values())
    before, after = told.get("values", ((), ()))
    if cause[0] == "type" and before and len(before) == len(after):
        labels = dict(zip(map(repr, after), map(repr, before), strict=True))
        return all(relabelled(str(now), labels) == str(then) for then, now in values.values())
    return False


def relabelled(text: str, labels: Mapping[str, str]) -> str:
    """An expression with the old labels of an enum."""
    return re.sub(r"'[^']*'", lambda found: labels.get(found[0], found[0]), text)


def without_casts(value: Any) -> str:
    """A printed expression without casts and the parentheses around them."""
    return re.sub(r"[()\s]", "", CASTS.sub("", str(value)))
