"""How a table's columns, constraints and options change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.action import Constraint
from tidelock.core.facts.timescale import FALSE
from tidelock.core.lint.known.relations import forget
from tidelock.core.lint.known.things import key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action
    from tidelock.core.lint.known.schema import Known
    from tidelock.core.model import Place


def _add_column(known: Known, action: Action, place: Place) -> None:
    if action.column is None:
        return
    table = known.some_table(action.table)
    if "guarded" in action.flags and action.name in table.columns:
        return
    table.columns[action.name] = action.column
    table.constraints.extend(action.column.constraints)
    if table.compressed and action.column.default:
        table.fragile[action.name] = place


def _drop_column(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    table.columns.pop(action.name, None)
    table.fragile.pop(action.name, None)
    if "cascade" in action.flags:
        for each in [*known.aggregates.values()]:
            if each.source == table.name and action.name in each.columns:
                forget(known, each.name, cascade=True)


def _alter_type(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    if action.column is not None and (old := table.columns.get(action.name)):
        table.columns[action.name] = replace(old, type=action.column.type)


def _set_not_null(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    if old := table.columns.get(action.name):
        found = Constraint(kind="not null", columns=(action.name,))
        table.columns[action.name] = replace(old, constraints=(*old.constraints, found))


def _drop_not_null(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    if old := table.columns.get(action.name):
        table.columns[action.name] = replace(
            old, constraints=tuple(each for each in old.constraints if each.kind != "not null")
        )


def _add_constraint(known: Known, action: Action, place: Place) -> None:
    del place
    if action.constraint is None:
        return
    found = action.constraint
    if found.using_index and (index := known.indexes.get(key(found.using_index))):
        found = replace(found, columns=index.columns)
    known.some_table(action.table).constraints.append(found)


def _drop_constraint(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    table.constraints = [each for each in table.constraints if each.name != action.name]


def _validate(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    table.constraints = [
        replace(each, not_valid=False) if each.name == action.name else each for each in table.constraints
    ]


def _rename_column(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    if old := table.columns.pop(action.name, None):
        table.columns[action.new_name] = replace(old, name=action.new_name)
    if table.time == action.name:
        table.time = action.new_name


def _row_security(known: Known, action: Action, place: Place) -> None:
    del place
    known.some_table(action.table).row_security = action.what == "enable row security"


def _set_options(known: Known, action: Action, place: Place) -> None:
    del place
    for space in ("timescaledb.", "tsdb."):
        for name in ("compress", "enable_columnstore"):
            value = action.options.get(space + name)
            if value is not None:
                known.some_table(action.table).columnstore = value.lower() not in FALSE
        for name in ("compress_segmentby", "segmentby", "compress_orderby", "orderby"):
            columns = action.options.get(space + name, "").split(",")
            known.some_table(action.table).packing |= {each.split()[0].strip('"') for each in columns if each.strip()}


CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    "add column": _add_column,
    "drop column": _drop_column,
    "alter type": _alter_type,
    "set not null": _set_not_null,
    "drop not null": _drop_not_null,
    "add constraint": _add_constraint,
    "drop constraint": _drop_constraint,
    "validate constraint": _validate,
    "rename column": _rename_column,
    "enable row security": _row_security,
    "disable row security": _row_security,
    "set options": _set_options,
}
