"""What has to be made before what: a walk over the needs of every object, else by kind and name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.ddl.tables import is_inline
from tidelock.core.ddl.words import above
from tidelock.core.snapshot import needs, wholes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tidelock.core.snapshot import Key, Snapshot

KINDS = (
    "schema",
    "extension",
    "foreign data wrapper",
    "server",
    "collation",
    "type",
    "domain",
    "sequence",
    "function",
    "procedure",
    "aggregate",
    "operator",
    "cast",
    "table",
    "column",
    "constraint",
    "index",
    "hypertable",
    "view",
    "materialized view",
    "continuous aggregate",
    "statistics",
    "rule",
    "trigger",
    "policy",
    "publication",
    "grant",
    "comment",
    "job",
    "setting",
    "default privileges",
    "event trigger",
)
"""Default privileges would change what comes after them, and event triggers would fire at it: they come last."""
RANKS = {kind: rank for rank, kind in enumerate(KINDS)}


def node_of(snapshot: Snapshot, key: Key, within: Collection[Key]) -> Key | None:
    """The object whose statement makes this one: itself, or the table for what stands inside of CREATE TABLE."""
    kind, name = key
    if kind == "column order":
        return None
    if kind == "column" and ("table", above(name)) in within:
        return "table", above(name)
    if kind == "constraint" and is_inline(snapshot, key) and ("table", above(name)) in within:
        return "table", above(name)
    return key


def ordered(snapshot: Snapshot, keys: Iterable[Key]) -> list[Key]:
    """Those of the keys that have a statement of their own, each after what it needs."""
    within = set(keys)
    makers: dict[Key, list[Key]] = {}
    for key in within:
        if (node := node_of(snapshot, key, within)) is not None:
            makers.setdefault(node, []).append(key)
    wanted = {node: wants(snapshot, made, within) - {node} for node, made in makers.items()}
    return walk(wanted)


def wants(snapshot: Snapshot, made: Iterable[Key], within: Collection[Key]) -> set[Key]:
    """The nodes that have to come before the makers of these."""
    found: set[Key] = set()
    for key in made:
        attributes = snapshot.objects[key]
        others = [*needs(attributes), *wholes(attributes)]
        if key[0] == "sequence":  # a sequence is given to its column afterwards
            others = [each for each in others if each[0] == "schema"]
        if key[0] == "continuous aggregate" or (key[0] == "constraint" and attributes["type"] == "foreign key"):
            others += [("hypertable", above(each[1])) for each in others if each[0] == "column"]
        for other in others:
            node = node_of(snapshot, other, within) if other in within else None
            if node is not None:
                found.add(node)
    return found


def walk(wanted: Mapping[Key, set[Key]]) -> list[Key]:
    """Depth first, by kind and name. Where needs go round in a circle, the later kind comes later."""
    done: dict[Key, None] = {}
    for start in sorted(wanted, key=rank):
        stack = [(start, iter(sorted(wanted[start], key=rank)))]
        open_ = {start}
        while stack:
            node, rest = stack[-1]
            following = next((each for each in rest if each not in done and each not in open_ and each in wanted), None)
            if following is None:
                done.setdefault(node)
                stack.pop()
            else:
                open_.add(following)
                stack.append((following, iter(sorted(wanted[following], key=rank))))
    return list(done)


def rank(key: Key) -> tuple[int, bool, str]:
    """By kind, then by name. An aggregate's refresh comes before its columnstore policy: TimescaleDB 2.20 insists."""
    return RANKS.get(key[0], len(RANKS)), key[0] == "job" and not key[1].startswith("refresh of "), key[1]
