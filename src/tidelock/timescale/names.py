"""What the names of a plan mean in the live database, statement after statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelock.core.formerly import brought_into, formerly, search_path
from tidelock.timescale import dependents

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.formerly import Path
    from tidelock.core.statement import Object, Statement

    Connection = psycopg.Connection[Any]


@dataclass
class Names:
    """Renames so far, what is new, and where a name without a schema is looked for."""

    conn: Connection
    renames: list[tuple[Object, Object]] = field(default_factory=list)
    """(before, after) of what is live, oldest first."""
    fresh: set[str] = field(default_factory=set)
    """Names, as written, of aggregates that the plan makes: they have no history."""
    path: Path = None
    """Of the file at hand."""

    def follow(self, statement: Statement) -> None:
        """Take in what a statement renames, and the search_path that it sets."""
        self.path = search_path(statement, self.path)
        for before, after in statement.facts.renames:
            self.fresh.discard(after.qualified)
            if before.qualified in self.fresh:
                self.fresh.remove(before.qualified)
                self.fresh.add(after.qualified)
            else:
                self.renames.append((before, after))

    def new(self, what: Object) -> bool:
        """The plan has made it itself."""
        return what.kind in dependents.RELATIONS and what.qualified in self.fresh

    def relations(self, what: Object) -> frozenset[str]:
        """The live relations that a name may mean by now, as the catalog quotes them."""
        old = formerly(what, self.renames) if what.name and not self.new(what) else ()
        return frozenset().union(*(dependents.relations(self.conn, each, self.path) for each in old))

    def gone(self, what: Object, *, cascade: bool) -> dependents.Gone:
        """What goes when this is dropped."""
        old = [*formerly(what, self.renames)] if not self.new(what) else []
        if what.kind == "schema":
            old += brought_into(what, self.renames)
        found = [dependents.gone(self.conn, each, self.path, cascade=cascade) for each in old]
        return dependents.Gone(
            relations=frozenset().union(*(each.relations for each in found)),
            aggregates=frozenset().union(*(each.aggregates for each in found)),
        )
