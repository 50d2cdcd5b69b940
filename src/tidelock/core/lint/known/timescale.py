"""What calls of TimescaleDB change: hypertables, chunks, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.tree import identifier
from tidelock.core.lint.known.things import REFRESHES, Index, Policy, key, made_by, offsets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action
    from tidelock.core.lint.known.schema import Known
    from tidelock.core.model import Place


def argument(action: Action, place: int, *names: str) -> str | int | bool | None:
    """An argument of a call by one of its names, else by place; None where it is not a constant, or not given."""
    for name in (*names, str(place)):
        if name in action.arguments:
            return action.arguments[name]
    return None


def target(action: Action) -> str:
    """The relation that a call of TimescaleDB is about, as the files know it."""
    found = argument(action, 0, "relation", "hypertable", "continuous_aggregate", "main_table")
    if not isinstance(found, str):
        return ""
    schema, name = identifier(found)
    return key(f"{schema}.{name}" if schema else name)


def _call(known: Known, action: Action, place: Place) -> None:
    name = action.name.rpartition(".")[2]
    if call := CALLS.get(name):
        call(known, action, place)
    elif name.startswith("add_") and name.endswith("_policy"):
        _add_policy(known, action, place)
    elif name.startswith("remove_") and name.endswith("_policy"):
        gone = (made_by(f"add_{name.removeprefix('remove_')}"), target(action))
        if policy := known.policies.pop(gone, None):
            known.former[gone] = policy
        if gone[0] == REFRESHES:
            known.refreshes.pop(gone[1], None)


def _add_policy(known: Known, action: Action, place: Place) -> None:
    kind = made_by(action.name.rpartition(".")[2])
    found = Policy(kind, target(action), dict(action.arguments), place, action.names)
    if kind == REFRESHES:
        same = [each for each in known.refreshes.get(found.target, []) if offsets(each) == offsets(found)]
        if same:
            return
        known.refreshes.setdefault(found.target, []).append(found)
        known.policies[(kind, found.target)] = found
    elif action.arguments.get("if_not_exists") is not True or (kind, found.target) not in known.policies:
        known.policies[(kind, found.target)] = found
        if kind == "add_retention_policy":
            known.retained[found.target] = found
    if kind == "add_compression_policy" and found.target:
        known.some_table(found.target).compressed = True


def _create_hypertable(known: Known, action: Action, place: Place) -> None:
    name = target(action)
    if not name:
        return
    table = known.some_table(name)
    if table.hypertable:
        return
    table.hypertable = True
    dimension = str(argument(action, 1, "time_column_name", "dimension") or "")
    table.time, _, table.chunk_interval = dimension.partition(",")
    if interval := argument(action, 99, "chunk_time_interval"):
        table.chunk_interval = str(interval)
    if table.time and argument(action, 99, "create_default_indexes") is not False:
        schema, _, bare = name.rpartition(".")
        index = f"{schema}.{bare}_{table.time}_idx" if schema else f"{bare}_{table.time}_idx"
        known.indexes.setdefault(index, Index(index, name, (table.time,), False, place))
    if isinstance(space := argument(action, 2, "partitioning_column"), str):
        table.dimensions.append(space)


def _add_dimension(known: Known, action: Action, place: Place) -> None:
    del place
    column = str(argument(action, 1, "column_name", "dimension") or "").partition(",")[0]
    if column:
        known.some_table(target(action)).dimensions.append(column)


def _chunk_interval(known: Known, action: Action, place: Place) -> None:
    del place
    known.some_table(target(action)).chunk_interval = str(argument(action, 1, "chunk_time_interval") or "")


def _drop_chunks(known: Known, action: Action, place: Place) -> None:
    if name := target(action):
        known.some_table(name).emptied = place


def _show_chunks(known: Known, action: Action, place: Place) -> None:
    known.shown = (place, target(action))
    _packed(known)


def _compress_chunk(known: Known, action: Action, place: Place) -> None:
    known.packed = place
    _packed(known)
    if action.arguments.get("recompress") is True or known.unpacked == place:
        for each in known.tables.values():  # of which one, a file rarely says: taken for all
            each.fragile.clear()


def _decompress_chunk(known: Known, action: Action, place: Place) -> None:
    """`compress_chunk(decompress_chunk(c))`, in whichever order the two are read: compressed anew."""
    known.unpacked = place
    if known.packed == place:
        _compress_chunk(known, action, place)


def _packed(known: Known) -> None:
    """`compress_chunk(c) FROM show_chunks('t') c`, in whichever order the two calls are read: t is compressed."""
    if known.shown and known.shown[0] == known.packed and known.shown[1]:
        known.some_table(known.shown[1]).compressed = True


CALLS: dict[str, Callable[[Known, Action, Place], None]] = {
    "drop_chunks": _drop_chunks,
    "show_chunks": _show_chunks,
    "compress_chunk": _compress_chunk,
    "decompress_chunk": _decompress_chunk,
    "convert_to_columnstore": _compress_chunk,
    "create_hypertable": _create_hypertable,
    "add_dimension": _add_dimension,
    "set_chunk_time_interval": _chunk_interval,
}


CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    "call": _call,
}
