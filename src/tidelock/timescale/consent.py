"""What a pending file says itself of the history of aggregates: what may go, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.facts.tree import identifier
from tidelock.core.rebuilding import rebuilt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidelock.core.aggregates import Aggregate
    from tidelock.core.model import Migration, PlannedMigration
    from tidelock.core.rebuilding import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What the file at hand says about it."""

    accepts: frozenset[tuple[str, str]]
    """(schema, name) of each accept-loss."""
    allows: frozenset[str]
    """Codes."""
    rebuilds: frozenset[tuple[str, str]]
    """Aggregates whose history it keeps, or that of all when they are to be preserved."""
    makes: frozenset[str]
    """Names of aggregates that it creates."""
    anywhere: bool
    """It sets search_path: a name without a schema may be in any."""

    def keeps(self, aggregate: Aggregate, others: Sequence[Aggregate]) -> bool:
        """A rebuild keeps its history: its own, or that of one beneath it, which brings back what hangs on it."""
        if among(aggregate.name, self.rebuilds):
            return True
        parent = next((each for each in others if each.name == aggregate.parent), None)
        return parent is not None and self.keeps(parent, others)


NOTHING = File(accepts=frozenset(), allows=frozenset(), rebuilds=frozenset(), makes=frozenset(), anywhere=False)
"""A file that says nothing of it."""


def file_of(planned: PlannedMigration, target: Wanted) -> File:
    """What a pending file says."""
    migration, statements = planned.migration, planned.script.statements
    return File(
        accepts=accepted(migration),
        allows=frozenset(each.value for each in migration.directives if each.name == "allow"),
        rebuilds=rebuilt(migration, planned.script, target),
        makes=frozenset(made.name for each in statements for made in each.facts.creates if made.kind == "aggregate"),
        anywhere=any(each.facts.sets == "search_path" for each in statements),
    )


def accepted(migration: Migration) -> frozenset[tuple[str, str]]:
    """(schema, name) of each accept-loss."""
    return frozenset(identifier(each.value) for each in migration.directives if each.name == "accept-loss")


def among(aggregate: str, names: Iterable[tuple[str, str]]) -> bool:
    """Whether one of these names is an aggregate's, with or without its schema."""
    schema, name = identifier(aggregate)
    return any(each in ((schema, name), ("", name)) for each in names)
