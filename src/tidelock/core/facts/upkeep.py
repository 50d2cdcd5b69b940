"""VACUUM, ANALYZE, CLUSTER, CHECKPOINT, LOCK, NOTIFY, ALTER SYSTEM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.draft import STRENGTH
from tidelock.core.facts.tree import on, options, related, relation
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

_MODES = {number: mode for mode, number in STRENGTH.items()}


def vacuum(draft: Draft, node: Node) -> None:
    """VACUUM and ANALYZE: both ShareUpdateExclusive, VACUUM FULL AccessExclusive and a rewrite."""
    draft.kind, draft.rerunnable = Kind.UTILITY, True
    full = on(options(node.get("options", ())), "full")
    draft.command = "ANALYZE"
    if node.get("is_vacuumcmd"):
        draft.command = "VACUUM FULL" if full else "VACUUM"
        draft.alone = "VACUUM cannot run inside a transaction block"
    for each in node.get("rels", ()):
        table = each["VacuumRelation"].get("relation")
        if table is not None:
            draft.alters.append(related("table", table))
            draft.lock(relation(table), "AccessExclusive" if full else "ShareUpdateExclusive", rewrite=full)


def cluster(draft: Draft, node: Node) -> None:
    """CLUSTER rewrites; of all tables, each in a transaction of its own."""
    draft.kind, draft.command, draft.rerunnable = Kind.UTILITY, "CLUSTER", True
    if table := node.get("relation"):
        draft.alters.append(related("table", table))
        draft.lock(relation(table), "AccessExclusive", rewrite=True)
    else:
        draft.alone = "CLUSTER without a table works in a transaction for each table"


def lock(draft: Draft, node: Node) -> None:
    """LOCK TABLE."""
    draft.kind, draft.command, draft.rerunnable = Kind.UTILITY, "LOCK TABLE", True
    for each in node.get("relations", ()):
        draft.lock(relation(each["RangeVar"]), _MODES[node["mode"]])


def alter_system(draft: Draft, node: Node) -> None:
    """ALTER SYSTEM writes postgresql.auto.conf."""
    del node
    draft.kind, draft.command = Kind.UTILITY, "ALTER SYSTEM"
    draft.external = draft.rerunnable = True
    draft.alone = "ALTER SYSTEM cannot run inside a transaction block"


def checkpoint(draft: Draft, node: Node) -> None:
    """CHECKPOINT."""
    del node
    draft.kind, draft.command, draft.rerunnable = Kind.UTILITY, "CHECKPOINT", True


def notify(draft: Draft, node: Node) -> None:
    """NOTIFY is sent at COMMIT: twice is heard twice."""
    del node
    draft.kind, draft.command = Kind.UTILITY, "NOTIFY"


HANDLERS = {
    "VacuumStmt": vacuum,
    "ClusterStmt": cluster,
    "LockStmt": lock,
    "AlterSystemStmt": alter_system,
    "CheckPointStmt": checkpoint,
    "NotifyStmt": notify,
}
