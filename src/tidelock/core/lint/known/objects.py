"""How indexes, types, domains, roles, functions and all other objects come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.known.things import Index, key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action
    from tidelock.core.lint.known.schema import Known
    from tidelock.core.model import Place


def _create_index(known: Known, action: Action, place: Place) -> None:
    name = key(action.name) or f"{key(action.table)}_{'_'.join(each or 'expr' for each in action.names)}_idx"
    known.indexes[name] = Index(
        name,
        key(action.table),
        action.names,
        "unique" in action.flags,
        place,
        concurrently="concurrently" in action.flags,
        method=action.options.get("method", "btree"),
        where="where" in action.flags,
    )


def _drop_index(known: Known, action: Action, place: Place) -> None:
    del place
    known.indexes.pop(key(action.table), None)


def _create_type(known: Known, action: Action, place: Place) -> None:
    del place
    if "enum" in action.flags:
        known.types[key(action.name)] = list(action.names)


def _create_domain(known: Known, action: Action, place: Place) -> None:
    known.domains[key(action.name)] = place.path
    if "constraint" in action.flags or key(action.names[0]) in known.constrained:
        known.constrained.add(key(action.name))


def _constrain_domain(known: Known, action: Action, place: Place) -> None:
    del place
    known.constrained.add(key(action.name))


def _add_value(known: Known, action: Action, place: Place) -> None:
    known.types.setdefault(key(action.name), []).append(action.new_name)
    known.new_values[(key(action.name), action.new_name)] = place


def _create_role(known: Known, action: Action, place: Place) -> None:
    known.roles[action.name] = place


def _drop_role(known: Known, action: Action, place: Place) -> None:
    del place
    known.roles.pop(action.name, None)


def _create_function(known: Known, action: Action, place: Place) -> None:
    known.functions[key(action.name)] = place
    if "search path" not in action.flags:
        known.pinned.discard(key(action.name))
    _alter_function(known, action, place)


def _alter_function(known: Known, action: Action, place: Place) -> None:
    del place
    if "search path" in action.flags:
        known.pinned.add(key(action.name))


def _other(known: Known, action: Action, place: Place) -> None:
    known.others[(action.what.removeprefix("create "), key(action.table), key(action.name))] = place


def _no_other(known: Known, action: Action, place: Place) -> None:
    del place
    known.others.pop((action.what.removeprefix("drop "), key(action.table), key(action.name)), None)


CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    "create index": _create_index,
    "drop index": _drop_index,
    "create type": _create_type,
    "create domain": _create_domain,
    "add domain constraint": _constrain_domain,
    "set domain not null": _constrain_domain,
    "add value": _add_value,
    "create role": _create_role,
    "drop role": _drop_role,
    "create function": _create_function,
    "create procedure": _create_function,
    "alter function": _alter_function,
    "create trigger": _other,
    "create policy": _other,
    "create schema": _other,
    "create extension": _other,
    "create sequence": _other,
    "drop trigger": _no_other,
    "drop policy": _no_other,
    "drop schema": _no_other,
}
