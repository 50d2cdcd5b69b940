"""VACUUM, ANALYZE, CLUSTER, LOCK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.tree import on, options, relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def vacuum(node: Node) -> Iterator[Action]:
    """VACUUM, VACUUM FULL, ANALYZE."""
    full = on(options(node.get("options", ())), "full")
    what = "analyze" if not node.get("is_vacuumcmd") else "vacuum full" if full else "vacuum"
    tables = [each["VacuumRelation"].get("relation") for each in node.get("rels", ())]
    for table in tables or [None]:
        yield Action(what=what, table=relation(table) if table else "")


def cluster(node: Node) -> Iterator[Action]:
    """CLUSTER."""
    yield Action(what="cluster", table=relation(node["relation"]) if "relation" in node else "")


def lock_table(node: Node) -> Iterator[Action]:
    """LOCK TABLE."""
    for each in node.get("relations", ()):
        yield Action(what="lock table", table=relation(each["RangeVar"]))


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "VacuumStmt": vacuum,
    "ClusterStmt": cluster,
    "LockStmt": lock_table,
}
