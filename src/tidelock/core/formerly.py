"""What a name of a plan means in the database as it is now: renames undone, the search_path of a file. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.facts import facts_of
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.statement import Object, Statement

    Rename = tuple[Object, Object]
    """(before, after), as in Facts."""
    Path = tuple[str, ...] | None
    """Schemas in their order; () for any, None for the connection's own."""

GROUPS = {
    **dict.fromkeys(("table", "view", "materialized view", "index", "sequence", "aggregate", "hypertable"), "relation"),
    "procedure": "function",
    "domain": "type",
}
"""Kinds that share their names."""


def formerly(what: Object, renames: Sequence[Rename]) -> tuple[Object, ...]:
    """The objects that a name may mean after these renames, under the names they had before; of none: what is new."""
    found = [what]
    for before, after in reversed(renames):
        found = [old for each in found for old in _undone(each, before, after)]
    return tuple(dict.fromkeys(found))


def brought_into(schema: Object, renames: Sequence[Rename]) -> Iterator[Object]:
    """What renames have brought into a schema, under the names it had before."""
    names = {schema.name, *(each.name for each in formerly(schema, renames))}
    for number, (before, after) in enumerate(renames, 1):
        if after.schema in names and before.schema != after.schema:
            yield from formerly(after, renames[:number])


def _undone(each: Object, before: Object, after: Object) -> list[Object]:
    if before.kind == "schema":
        own = each.name if each.kind == "schema" else each.schema
        if own not in (before.name, after.name):
            return [each]
        if own == before.name:
            return []
        if each.kind == "schema":
            return [replace(each, name=before.name)]
        parent = each.parent.rpartition(".")[2]
        return [replace(each, schema=before.name, parent=f"{before.name}.{parent}" if parent else "")]
    if GROUPS.get(each.kind, each.kind) == GROUPS.get(before.kind, before.kind):
        if _same(each, after):
            old = replace(each, name=before.name, schema=before.schema, parent=before.parent)
            return [old] if each.qualified == after.qualified else [each, old]
        return [] if (each.qualified, each.parent) == (before.qualified, before.parent) else [each]
    if each.parent and GROUPS.get(before.kind) == "relation":
        schema, _, table = each.parent.rpartition(".")
        if table == after.name and _agree(schema, after.schema):
            return [replace(each, schema=before.schema, parent=before.qualified)]
    return [each]


def _same(one: Object, other: Object) -> bool:
    tables = {each.parent.rpartition(".")[2] for each in (one, other)}
    return one.name == other.name and _agree(one.schema, other.schema) and len(tables) == 1


def _agree(one: str, other: str) -> bool:
    """A schema counts only where both have one."""
    return not one or not other or one == other


def search_path(statement: Statement, before: Path) -> Path:
    """Where names without a schema are looked for after a statement."""
    facts = statement.facts
    if facts.sets == "search_path":
        [action] = facts_of(statement.text, detailed=True).actions or [None]
        if action is None or statement.runtime or "local" in action.flags:
            return ()
        return action.names if all(each not in ("", "$user") for each in action.names) else ()
    if facts.kind in (Kind.CODE, Kind.QUERY, Kind.UNKNOWN) and "search_path" in statement.text.lower():
        return ()
    return before
