"""What a file says itself of things around an aggregate that it makes anew, and what hangs on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.facts.tree import identifier
from tidelock.core.rebuilding import matches
from tidelock.core.snapshot import reference
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.core.snapshot import Key, Snapshot
    from tidelock.core.statement import Object, Statement

AGGREGATE = "continuous aggregate"


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says itself, which goes before what was there."""

    script: tuple[Statement, ...]
    later: tuple[Statement, ...]
    """Its statements after the step."""

    def drops(self, key: Key) -> bool:
        """It drops this by name."""
        return any(same(each, key) for one in self.script for each in one.facts.drops)

    def makes_later(self, key: Key) -> bool:
        """A later step of it makes this."""
        return any(same(each, key) for one in self.later for each in one.facts.creates)

    def mentions(self, name: str, *words: str) -> bool:
        """A statement of it has the name and one of these words."""
        bare = identifier(name)[1].replace('"', '""')
        return any(bare in one.text and any(word in one.text.lower() for word in words) for one in self.script)

    def entitles(self, name: str) -> bool:
        """It grants or revokes something on this, or may."""
        everywhere = any("on all tables" in " ".join(one.text.lower().split()) for one in self.script)
        return everywhere or self.mentions(name, "grant", "revoke")


JOBS = {"policy_retention": "retention", "policy_compression": "columnstore",
        "policy_refresh_continuous_aggregate": "refresh", "policy_reorder": "reorder"}  # fmt: skip


def same(one: Object, key: Key) -> bool:
    """Whether a statement's object is one of the snapshot."""
    kind, name = key
    if kind == "job":
        label, _, on = name.partition(" of ")
        return one.kind == "job" and JOBS.get(one.name) == label and identifier(one.parent)[1] == identifier(on)[1]
    kinds = {AGGREGATE: ("aggregate", "materialized view"), "materialized view": ("materialized view",)}
    if one.kind not in kinds.get(kind, (kind,)):
        return False
    return matches(one, identifier(name))


def may_drop(statement: Statement) -> bool:
    """It drops something, or nobody can say."""
    facts = statement.facts
    return bool(facts.drops) or facts.cascade or facts.kind in (Kind.CODE, Kind.UNKNOWN) or statement.runtime


def closure(schema: Snapshot, keys: Iterable[Key]) -> list[Key]:
    """All that needs these or is part of them, and what needs that; themselves left out."""
    above: dict[str, list[Key]] = {}
    for key, attributes in schema.objects.items():
        for each in (*attributes.get("needs", ()), *attributes.get("part_of", ())):
            above.setdefault(each, []).append(key)
    first = list(keys)
    seen, waiting = set(first), list(first)
    while waiting:
        for each in above.get(reference(waiting.pop()), ()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return sorted(seen)


def readers(schema: Snapshot, key: Key) -> set[Key]:
    """The views and aggregates that read one, through others too."""
    kinds = ("view", "materialized view", AGGREGATE)
    return {each for each in closure(schema, [key]) if each[0] in kinds and each != key}
