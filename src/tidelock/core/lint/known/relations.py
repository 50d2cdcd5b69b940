"""How tables, views and aggregates come, are renamed, filled, and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.timescale import FALSE
from tidelock.core.lint.known.things import Aggregate, Policy, Table, View, key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action
    from tidelock.core.lint.known.schema import Known
    from tidelock.core.model import Place


def _create_table(known: Known, action: Action, place: Place) -> None:
    name = key(action.table)
    if "guarded" in action.flags and name in known.tables and known.tables[name].whole:
        return
    known.tables[name] = Table(
        name,
        place,
        whole=not action.flags & {"like", "inherits", "partition"},
        columns={each.name: each for each in action.columns},
        constraints=list(action.constraints),
        partitioned="partitioned" in action.flags,
    )
    if any(each in action.options for each in ("timescaledb.hypertable", "tsdb.hypertable")):
        found = known.tables[name]
        found.hypertable = True
        space = "tsdb." if "tsdb.hypertable" in action.options else "timescaledb."
        found.time = action.options.get(f"{space}partition_column", "")
        found.chunk_interval = action.options.get(f"{space}chunk_interval", "")
        stores = [action.options.get(space + each) for each in ("columnstore", "enable_columnstore")]
        found.columnstore = not any(each and each.lower() in FALSE for each in stores)
        if found.columnstore:  # it comes with a policy: chunks are compressed once they are an interval old
            made = "add_compression_policy"
            found.compressed = True
            after = found.chunk_interval or "7 days"
            known.policies[(made, name)] = Policy(made, name, {"0": name, "after": after}, place)


def _create_table_as(known: Known, action: Action, place: Place) -> None:
    known.tables[key(action.table)] = Table(key(action.table), place, filled=place)


def _fill(known: Known, action: Action, place: Place) -> None:
    known.some_table(action.table).filled = place


def _truncate(known: Known, action: Action, place: Place) -> None:
    del place
    known.some_table(action.table).filled = None


def _drop_table(known: Known, action: Action, place: Place) -> None:
    del place
    forget(known, key(action.table), cascade="cascade" in action.flags)


def _drop_view(known: Known, action: Action, place: Place) -> None:
    del place
    name = key(action.table)
    known.views.pop(name, None)
    if name in known.aggregates:
        forget(known, name, cascade="cascade" in action.flags)


def forget(known: Known, name: str, *, cascade: bool) -> None:
    """A table or aggregate is gone, and with CASCADE what reads it."""
    readers = known.readers(name) if cascade else []
    known.tables.pop(name, None)
    known.aggregates.pop(name, None)
    known.views.pop(name, None)
    known.refreshes.pop(name, None)
    known.indexes = {each: index for each, index in known.indexes.items() if key(index.table) != name}
    known.policies = {each: policy for each, policy in known.policies.items() if key(policy.target) != name}
    for each in readers:
        forget(known, key(each), cascade=True)


def _rename_table(known: Known, action: Action, place: Place) -> None:
    del place
    schema = key(action.table).rpartition(".")[0]
    new = key(f"{schema}.{action.new_name}" if schema else action.new_name)
    former = key(action.table)
    if old := known.tables.pop(former, None):
        known.tables[new] = old
        old.name = new
    if aggregate := known.aggregates.pop(former, None):
        known.aggregates[new] = aggregate
        aggregate.name = new
    if view := known.views.pop(former, None):
        known.views[new] = view
        view.name = new
    for each in known.aggregates.values():
        each.source = new if each.source == former else each.source
    for index in known.indexes.values():
        if index.table == former:
            index.table = new
    if (refreshes := known.refreshes.pop(former, None)) is not None:
        known.refreshes[new] = refreshes
    for kind, target in [*known.policies]:
        if target == former:
            policy = known.policies.pop((kind, target))
            policy.target = new
            known.policies[(kind, new)] = policy


def _create_view(known: Known, action: Action, place: Place) -> None:
    columns = frozenset(action.options.get("columns", "").split(","))
    known.views[key(action.table)] = View(key(action.table), action.names, columns, place)


def _create_aggregate(known: Known, action: Action, place: Place) -> None:
    name = key(action.table)
    if "guarded" in action.flags and name in known.aggregates:
        return
    source = next((each for each in action.names if known.is_hypertable(each) or known.is_aggregate(each)), "")
    source = source or next(iter(action.names), "")
    known.aggregates[name] = Aggregate(name, key(source), action.options.get("bucket", ""), place, action)
    known.tables[name] = Table(name, place)


CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    "create table": _create_table,
    "create table as": _create_table_as,
    "drop table": _drop_table,
    "drop view": _drop_view,
    "drop materialized view": _drop_view,
    "rename table": _rename_table,
    "rename materialized view": _rename_table,
    "rename view": _rename_table,
    "insert": _fill,
    "copy from": _fill,
    "truncate": _truncate,
    "create view": _create_view,
    "create materialized view": _create_view,
    "create aggregate": _create_aggregate,
}
