"""Everything that the files so far have made, the questions that rules ask of it, and how it learns."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from tidelock.core.lint.known import columns, objects, relations, timescale
from tidelock.core.lint.known.things import Table, key, made_by
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.action import Action, Column
    from tidelock.core.lint.known.things import Aggregate, Index, Policy, View
    from tidelock.core.model import Place


@record(frozen=False, slots=True)
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
    unpacked: Place | None = None
    """The last statement that decompressed chunks."""
    retained: dict[str, Policy] = field(default_factory=dict)
    """Target → the last retention policy that it had, also when that has been removed."""
    views: dict[str, View] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    """Table or view → the path of the last file that made it, also when it has dropped it again."""
    types: dict[str, list[str]] = field(default_factory=dict)
    """Enum → its labels in order."""
    domains: dict[str, str] = field(default_factory=dict)
    """Domain → the path of the file that made it."""
    constrained: set[str] = field(default_factory=set)
    """The domains that have a CHECK or NOT NULL, or are made of one that has."""
    new_values: dict[tuple[str, str], Place] = field(default_factory=dict)
    roles: dict[str, Place] = field(default_factory=dict)
    functions: dict[str, Place] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    """Functions whose definition has a search_path."""
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

CHANGES: dict[str, Callable[[Known, Action, Place], None]] = {
    **relations.CHANGES,
    **columns.CHANGES,
    **objects.CHANGES,
    **timescale.CHANGES,
}
