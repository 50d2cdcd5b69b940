"""CREATE INDEX, REINDEX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import flags
from tidelock.core.facts.tree import on, options, relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def create_index(node: Node) -> Iterator[Action]:
    """CREATE INDEX."""
    yield Action(
        what="create index",
        table=relation(node["relation"]),
        name=node.get("idxname", ""),
        names=tuple(each["IndexElem"].get("name", "") for each in node.get("indexParams", ())),
        options={**options(node.get("options", ())), "method": node.get("accessMethod", "btree")},
        flags=flags(
            guarded=node.get("if_not_exists"),
            unique=node.get("unique"),
            concurrently=node.get("concurrent"),
            where="whereClause" in node,
            only=not node["relation"].get("inh", False),
        ),
    )


def reindex(node: Node) -> Iterator[Action]:
    """REINDEX."""
    yield Action(
        what="reindex",
        table=relation(node["relation"]) if "relation" in node else "",
        name=node["kind"].removeprefix("REINDEX_OBJECT_").lower(),
        flags=flags(concurrently=on(options(node.get("params", ())), "concurrently")),
    )


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "IndexStmt": create_index,
    "ReindexStmt": reindex,
}
