"""Queries that are kept: CREATE TABLE AS, views, materialized views, continuous aggregates."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tidelock.core.action import Action
from tidelock.core.facts import timescale
from tidelock.core.facts.actions.flags import flags
from tidelock.core.facts.tree import PLACES, constant, every, options, relation, strings, temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def create_table_as(node: Node) -> Iterator[Action]:
    """CREATE TABLE AS, CREATE MATERIALIZED VIEW, a continuous aggregate."""
    into, settings = node["into"], options(node["into"].get("options", ()))
    what = "create materialized view" if node.get("objtype") == "OBJECT_MATVIEW" else "create table as"
    if timescale.switched_on(settings, "continuous"):
        what = "create aggregate"
    query = node.get("query", {})
    read = {"columns": ",".join(used_columns(query)), "definition": definition(query)}
    bucket = next(_buckets(query), "")
    yield Action(
        what=what,
        table=relation(into["rel"]),
        names=sources(query),
        options={**settings, **read, "bucket": bucket} if bucket else {**settings, **read},
        flags=flags(
            guarded=node.get("if_not_exists"), with_data=not into.get("skipData"), temporary=temporary(into["rel"])
        ),
    )


def _buckets(query: Node) -> Iterator[str]:
    """The width that each time_bucket is called with."""
    for key, value in every([query]):
        if key == "FuncCall" and strings(value.get("funcname", ()))[-1:] == ["time_bucket"]:
            yield str(constant(timescale.argument(value, 0, "bucket_width")) or "")


def sources(query: Any) -> tuple[str, ...]:
    """Every relation that a query names, in the order of the text."""
    return tuple(dict.fromkeys(relation(value) for key, value in every([query]) if key == "RangeVar"))


def used_columns(query: Any) -> tuple[str, ...]:
    """Every column that a query names."""
    names = (strings(value.get("fields", ())) for key, value in every([query]) if key == "ColumnRef")
    return tuple(dict.fromkeys(each[-1] for each in names if each))


def definition(query: Any) -> str:
    """A digest of a query, the same for the same query in other lines and letters."""
    told = hashlib.sha256()
    for key, value in every([query]):
        if key not in PLACES:
            told.update(f"{key}={'' if type(value) in (dict, list) else value}\n".encode())
    return told.hexdigest()[:16]


def select(node: Node) -> Iterator[Action]:
    """SELECT … INTO makes a table; what a SELECT calls is noted elsewhere."""
    if into := node.get("intoClause"):
        yield Action(what="create table as", table=relation(into["rel"]), flags=flags(temporary=temporary(into["rel"])))


def create_view(node: Node) -> Iterator[Action]:
    """CREATE VIEW."""
    settings = options(node.get("options", ()))
    query = node.get("query", {})
    yield Action(
        what="create view",
        table=relation(node["view"]),
        names=sources(query),
        options={**settings, "columns": ",".join(used_columns(query))},
        flags=flags(replace=node.get("replace"), temporary=temporary(node["view"])),
    )


def refresh(node: Node) -> Iterator[Action]:
    """REFRESH MATERIALIZED VIEW."""
    yield Action(
        what="refresh materialized view",
        table=relation(node["relation"]),
        flags=flags(concurrently=node.get("concurrent"), with_data=not node.get("skipData")),
    )


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreateTableAsStmt": create_table_as,
    "SelectStmt": select,
    "RefreshMatViewStmt": refresh,
    "ViewStmt": create_view,
}
