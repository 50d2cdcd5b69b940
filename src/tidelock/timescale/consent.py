"""What a pending file says itself of the history of aggregates: what may go, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidelock.core.facts.tree import identifier
from tidelock.core.rebuilding import rebuilt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate
    from tidelock.core.model import Migration, PlannedMigration
    from tidelock.core.rebuilding import Wanted

    Connection = psycopg.Connection[Any]


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

    def keeps(self, aggregate: Aggregate, others: Sequence[Aggregate]) -> bool:
        """A rebuild keeps its history: its own, or that of one beneath it, which brings back what hangs on it."""
        if among(aggregate.name, self.rebuilds):
            return True
        parent = next((each for each in others if each.name == aggregate.parent), None)
        return parent is not None and self.keeps(parent, others)


NOTHING = File(accepts=frozenset(), allows=frozenset(), rebuilds=frozenset(), makes=frozenset())
"""A file that says nothing of it."""


def file_of(conn: Connection, planned: PlannedMigration, target: Wanted, there: Iterable[Aggregate]) -> File:
    """What a pending file says of the aggregates that are there."""
    migration, statements = planned.migration, planned.script.statements
    return File(
        accepts=accepted(conn, migration, there),
        allows=frozenset(each.value for each in migration.directives if each.name == "allow"),
        rebuilds=meant(conn, rebuilt(migration, planned.script, target), there),
        makes=frozenset(made.name for each in statements for made in each.facts.creates if made.kind == "aggregate"),
    )


def accepted(conn: Connection, migration: Migration, there: Iterable[Aggregate]) -> frozenset[tuple[str, str]]:
    """(schema, name) of each accept-loss."""
    return meant(conn, (identifier(each.value) for each in migration.directives if each.name == "accept-loss"), there)


VISIBLE = """
SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(quote_ident(%s))"""


def meant(conn: Connection, names: Iterable[tuple[str, str]], there: Iterable[Aggregate]) -> frozenset[tuple[str, str]]:
    """These names; one that several aggregates bear is given the schema in which search_path finds it, if any."""
    known = [identifier(each.name)[1] for each in there]
    found: set[tuple[str, str]] = set()
    for schema, name in names:
        if schema or known.count(name) < 2:
            found.add((schema, name))
        else:
            found |= {(place, name) for (place,) in conn.execute(VISIBLE, (name,)).fetchall()}
    return frozenset(found)


def among(aggregate: str, names: Iterable[tuple[str, str]]) -> bool:
    """Whether one of these names is an aggregate's, with or without its schema."""
    schema, name = identifier(aggregate)
    return any(each in ((schema, name), ("", name)) for each in names)
