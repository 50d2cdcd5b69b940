"""The schema as the files so far have made it; what no file says is not known, and no rule may guess it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock.core.action import Constraint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action, Column
    from tidelock.core.model import Place


def key(name: str) -> str:
    """A name as it is known by: `public.t` and `t` are one."""
    return name.removeprefix("public.")


@dataclass(slots=True)
class Table:
    """A table, hypertable or aggregate. `whole` when a file has created it, so that every column is known."""

    name: str
    place: Place | None = None
    """Where it was created."""
    whole: bool = False
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    row_security: bool = False
    partitioned: bool = False
    rows: int | None = None
    """How many rows a live database believes it to have; None when there is none, or it has not counted."""
    # TimescaleDB
    hypertable: bool = False
    time: str = ""
    """The time column of a hypertable; empty when a file does not say it as a constant."""
    dimensions: list[str] = field(default_factory=list)
    chunk_interval: str = ""
    columnstore: bool = False
    compressed: bool = False
    """It has a policy that compresses, or a chunk that was compressed by hand: there may be compressed chunks."""
    filled: Place | None = None
    """Where a file put rows into it."""
    emptied: Place | None = None
    """Where a file took chunks from it with drop_chunks."""
    packing: set[str] = field(default_factory=set)
    """The columns that the columnstore segments and orders by, as far as a file says."""
    fragile: dict[str, Place] = field(default_factory=dict)
    """Columns that were added with a default over compressed chunks and not recompressed: no chunk holds the value."""

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The columns of its primary key and unique constraints."""
        return [each.columns for each in self.constraints if each.kind in ("primary key", "unique")]


@dataclass(slots=True)
class Aggregate:
    """A continuous aggregate."""

    name: str
    source: str
    """The hypertable, or the aggregate beneath."""
    bucket: str
    place: Place
    action: Action

    @property
    def columns(self) -> frozenset[str]:
        """Every column that its query names."""
        return frozenset(self.action.options.get("columns", "").split(",")) - {""}

    @property
    def definition(self) -> str:
        """A digest of its query."""
        return self.action.options.get("definition", "")


@dataclass(slots=True)
class Index:
    """An index that a file has created."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool
    place: Place
    concurrently: bool = False
    method: str = "btree"
    where: bool = False
    """It holds some of the rows only."""


@dataclass(slots=True)
class Policy:
    """A policy of TimescaleDB, with the arguments it was made with."""

    kind: str
    """The function that made it: add_retention_policy, …"""
    target: str
    arguments: dict[str, str | int | bool | None]
    place: Place
    nulls: tuple[str, ...] = ()
    """The arguments that are NULL, by name or place."""

    def given(self, place: int, *names: str) -> str | int | bool | None:
        """An argument by one of its names, else by place; None where it is not a constant, or not given."""
        return next((self.arguments[each] for each in (*names, str(place)) if each in self.arguments), None)

    def is_null(self, place: int, *names: str) -> bool:
        """Whether an argument is the constant NULL."""
        return any(each in self.nulls for each in (*names, str(place)))


@dataclass(slots=True)
class View:
    """A view or materialized view, and what it reads."""

    name: str
    sources: tuple[str, ...]
    columns: frozenset[str]
    place: Place


@dataclass(slots=True)
class Known:
    """Everything that the files so far have made."""

    tables: dict[str, Table] = field(default_factory=dict)
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    """(function, target) → policy; of several that refresh one aggregate the last."""
    refreshes: dict[str, list[Policy]] = field(default_factory=dict)
    """Aggregate → every policy that refreshes it: there may be several over different ranges."""
    former: dict[tuple[str, str], Policy] = field(default_factory=dict)
    """Policies that a file has removed: what retention has dropped by then stays away."""
    shown: tuple[Place, str] | None = None
    """The last statement that called show_chunks, and of what: a compress_chunk in it is about those chunks."""
    packed: Place | None = None
    """The last statement that compressed chunks."""
    retained: dict[str, Policy] = field(default_factory=dict)
    """Target → the last retention policy that it had, also when that has been removed."""
    views: dict[str, View] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    """Table or view → the path of the last file that made it, also when it has dropped it again."""
    types: dict[str, list[str]] = field(default_factory=dict)
    """Enum → its labels in order."""
    domains: dict[str, str] = field(default_factory=dict)
    """Domain → the path of the file that made it."""
    new_values: dict[tuple[str, str], Place] = field(default_factory=dict)
    roles: dict[str, Place] = field(default_factory=dict)
    functions: dict[str, Place] = field(default_factory=dict)
    others: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    """(kind, table, name) → where: triggers, policies, schemas, extensions, sequences."""

    def table(self, name: str) -> Table | None:
        """A table that the files know something of."""
        return self.tables.get(key(name))

    def is_hypertable(self, name: str) -> bool:
        """Whether a file has made it a hypertable."""
        found = self.table(name)
        return found is not None and found.hypertable

    def is_aggregate(self, name: str) -> bool:
        """Whether a file has made it as a continuous aggregate."""
        return key(name) in self.aggregates

    def made_in(self, name: str, path: str) -> bool:
        """Whether this file creates the table, so that nobody else can see it yet."""
        found = self.table(name)
        return found is not None and found.place is not None and found.place.path == path

    def column(self, table: str, name: str) -> Column | None:
        """A column as it is now, when a file says it."""
        found = self.table(table)
        return found.columns.get(name) if found else None

    def readers(self, table: str) -> list[str]:
        """Views and aggregates that read it directly."""
        wanted = key(table)
        views = [each.name for each in self.views.values() if wanted in map(key, each.sources)]
        return [*views, *(each.name for each in self.aggregates.values() if key(each.source) == wanted)]

    def policy(self, kind: str, target: str) -> Policy | None:
        """The policy of a kind (`retention`, `columnstore`, `continuous_aggregate`, `reorder`) that it has now."""
        return self.policies.get((made_by(f"add_{kind}_policy"), key(target)))

    def aggregates_on(self, name: str) -> list[Aggregate]:
        """The aggregates that read a table or aggregate, and those above them, nearest first."""
        found: list[Aggregate] = []
        sources = [key(name)]
        for source in sources:
            direct = [each for each in self.aggregates.values() if each.source == source and each not in found]
            found.extend(direct)
            sources.extend(each.name for each in direct)
        return found

    def learn(self, action: Action, place: Place) -> None:
        """Take in what a statement has done."""
        name = key(action.table)
        if action.what in MAKES and name not in self.tables and name not in self.views:
            self.makers[name] = place.path
        if change := CHANGES.get(action.what):
            change(self, action, place)

    def some_table(self, name: str) -> Table:
        """The table of that name; one of which nothing else is known when no file has created it."""
        return self.tables.setdefault(key(name), Table(key(name)))


MAKES = ("create table", "create table as", "create view", "create materialized view")


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


FALSE = ("false", "f", "off", "no", "n", "0")


def _create_table_as(known: Known, action: Action, place: Place) -> None:
    known.tables[key(action.table)] = Table(key(action.table), place, filled=place)


def _fill(known: Known, action: Action, place: Place) -> None:
    known.some_table(action.table).filled = place


def _truncate(known: Known, action: Action, place: Place) -> None:
    del place
    known.some_table(action.table).filled = None


def _drop_table(known: Known, action: Action, place: Place) -> None:
    del place
    _forget(known, key(action.table), cascade="cascade" in action.flags)


def _drop_view(known: Known, action: Action, place: Place) -> None:
    del place
    name = key(action.table)
    known.views.pop(name, None)
    if name in known.aggregates:
        _forget(known, name, cascade="cascade" in action.flags)


def _forget(known: Known, name: str, *, cascade: bool) -> None:
    """A table or aggregate is gone, and with CASCADE what reads it."""
    readers = known.readers(name) if cascade else []
    known.tables.pop(name, None)
    known.aggregates.pop(name, None)
    known.views.pop(name, None)
    known.refreshes.pop(name, None)
    known.indexes = {each: index for each, index in known.indexes.items() if key(index.table) != name}
    known.policies = {each: policy for each, policy in known.policies.items() if key(policy.target) != name}
    for each in readers:
        _forget(known, key(each), cascade=True)


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
                _forget(known, each.name, cascade=True)


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


def _rename_column(known: Known, action: Action, place: Place) -> None:
    del place
    table = known.some_table(action.table)
    if old := table.columns.pop(action.name, None):
        table.columns[action.new_name] = replace(old, name=action.new_name)
    if table.time == action.name:
        table.time = action.new_name


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


def _create_type(known: Known, action: Action, place: Place) -> None:
    del place
    if "enum" in action.flags:
        known.types[key(action.name)] = list(action.names)


def _create_domain(known: Known, action: Action, place: Place) -> None:
    known.domains[key(action.name)] = place.path


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


def _other(known: Known, action: Action, place: Place) -> None:
    known.others[(action.what.removeprefix("create "), key(action.table), key(action.name))] = place


def _no_other(known: Known, action: Action, place: Place) -> None:
    del place
    known.others.pop((action.what.removeprefix("drop "), key(action.table), key(action.name)), None)


# --- calls of TimescaleDB --------------------------------------------------------------------------------------------


def argument(action: Action, place: int, *names: str) -> str | int | bool | None:
    """An argument of a call by one of its names, else by place; None where it is not a constant, or not given."""
    for name in (*names, str(place)):
        if name in action.arguments:
            return action.arguments[name]
    return None


def target(action: Action) -> str:
    """The relation that a call of TimescaleDB is about, as the files know it."""
    found = argument(action, 0, "relation", "hypertable", "continuous_aggregate", "main_table")
    return key(str(found or "").replace('"', "")).lower() if isinstance(found, str) else ""


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


REFRESHES = "add_continuous_aggregate_policy"


def made_by(function: str) -> str:
    """The function that a policy is known by: add_columnstore_policy makes what add_compression_policy makes."""
    return "add_compression_policy" if function == "add_columnstore_policy" else function


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


def offsets(policy: Policy) -> tuple[str | int | bool | None, str | int | bool | None]:
    """start_offset and end_offset of a refresh policy, as written."""
    return policy.given(1, "start_offset"), policy.given(2, "end_offset")


def _create_hypertable(known: Known, action: Action, place: Place) -> None:
    del place
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
    if action.arguments.get("recompress") is True:  # of which table, a file rarely says: taken for all
        for each in known.tables.values():
            each.fragile.clear()


def _packed(known: Known) -> None:
    """`compress_chunk(c) FROM show_chunks('t') c`, in whichever order the two calls are read: t is compressed."""
    if known.shown and known.shown[0] == known.packed and known.shown[1]:
        known.some_table(known.shown[1]).compressed = True


CALLS: dict[str, Callable[[Known, Action, Place], None]] = {
    "drop_chunks": _drop_chunks,
    "show_chunks": _show_chunks,
    "compress_chunk": _compress_chunk,
    "convert_to_columnstore": _compress_chunk,
    "create_hypertable": _create_hypertable,
    "add_dimension": _add_dimension,
    "set_chunk_time_interval": _chunk_interval,
}

CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    "create table": _create_table,
    "create table as": _create_table_as,
    "drop table": _drop_table,
    "drop view": _drop_view,
    "drop materialized view": _drop_view,
    "add column": _add_column,
    "drop column": _drop_column,
    "alter type": _alter_type,
    "set not null": _set_not_null,
    "drop not null": _drop_not_null,
    "add constraint": _add_constraint,
    "drop constraint": _drop_constraint,
    "validate constraint": _validate,
    "create index": _create_index,
    "drop index": _drop_index,
    "rename column": _rename_column,
    "rename table": _rename_table,
    "rename materialized view": _rename_table,
    "rename view": _rename_table,
    "insert": _fill,
    "copy from": _fill,
    "truncate": _truncate,
    "enable row security": _row_security,
    "disable row security": _row_security,
    "set options": _set_options,
    "create view": _create_view,
    "create materialized view": _create_view,
    "create aggregate": _create_aggregate,
    "create type": _create_type,
    "create domain": _create_domain,
    "add value": _add_value,
    "create role": _create_role,
    "drop role": _drop_role,
    "create function": _create_function,
    "create procedure": _create_function,
    "create trigger": _other,
    "create policy": _other,
    "create schema": _other,
    "create extension": _other,
    "create sequence": _other,
    "drop trigger": _no_other,
    "drop policy": _no_other,
    "drop schema": _no_other,
    "call": _call,
}
