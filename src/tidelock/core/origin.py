"""Which applied migration an object of a snapshot was last made or changed by, as far as their statements say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.core.snapshot import Key
    from tidelock.core.statement import Facts, Object

    Named = tuple[str, str, str]
    """Kind, table (empty for what has none), name: all without schemas."""

KINDS = {"procedure": "function", "aggregate": "function", "continuous aggregate": "view", "materialized view": "view"}
"""Kinds that statements and snapshots tell apart in other ways."""
ON_A_TABLE = frozenset({"column", "constraint", "trigger", "policy", "rule"})
PART = re.compile(r'"((?:[^"]|"")*)"|([^."(]+)')


class Origins:
    """Takes in what migrations do, in their order, and says which was the last for an object."""

    def __init__(self) -> None:
        self.last: dict[Named, list[tuple[str, int]]] = {}
        """Object → (schema as written, version), …"""
        self.tables: dict[str, list[tuple[str, int]]] = {}
        """… and who has created a table: what stands in CREATE TABLE has no statement of its own."""

    def learn(self, version: int, facts: Facts) -> None:
        """Take in a statement."""
        for each in facts.creates:
            if each.kind == "table":
                self.tables.setdefault(each.name, []).append((each.schema, version))
        for each in (*facts.creates, *facts.alters, *(after for _, after in facts.renames)):
            self.last.setdefault(named(each), []).append((each.schema, version))

    def of(self, key: Key) -> int | None:
        """The version; None when no statement names it: built SQL, or nobody made it."""
        kind, name = KINDS.get(key[0], key[0]), key[1]
        parts = list(parts_of(name))
        if kind in ON_A_TABLE and len(parts) == 3:
            schema, table, own = parts
            found = latest(self.last.get((kind, table, own), ()), schema)
            return found if found is not None else latest(self.tables.get(table, ()), schema)
        schema, own = parts if len(parts) == 2 else ("", parts[-1] if parts else "")
        return latest(self.last.get((kind, "", own), ()), schema)


def named(made: Object) -> Named:
    """A statement's object, as `last` has it."""
    kind = KINDS.get(made.kind, made.kind)
    return kind, made.parent.rpartition(".")[2] if kind in ON_A_TABLE else "", made.name


def latest(places: Iterable[tuple[str, int]], schema: str) -> int | None:
    """The last version; a schema counts only where both have one."""
    return max((version for written, version in places if not written or not schema or written == schema), default=None)


def parts_of(name: str) -> Iterator[str]:
    """`public.parcels."Area"` → public, parcels, Area; the arguments of a function left out."""
    for found in PART.finditer(name if name.startswith('"') else name.partition("(")[0]):
        yield found[1].replace('""', '"') if found[1] is not None else found[2]
