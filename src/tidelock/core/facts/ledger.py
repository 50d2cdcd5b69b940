"""Writes to the ledger that a file makes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.tree import constant

if TYPE_CHECKING:
    from tidelock.core.parser import Node

NAME = "schema_migrations"


def versions_of(statement: Node) -> tuple[int, ...] | None:
    """The versions that an INSERT writes to a table named schema_migrations.

    None when the statement writes to another table; () when the versions are not constants, or when it is an UPDATE
    or DELETE. A row without a column list has its version in the first place, as in the seed documents.
    """
    if statement.get("relation", {}).get("relname") != NAME:
        return None
    rows = statement.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists")
    if not rows:
        return ()
    columns = [each["ResTarget"].get("name", "") for each in statement.get("cols", ())]
    if columns and "version" not in columns:
        return ()
    place = columns.index("version") if columns else 0
    values = [_version(each["List"].get("items", []), place) for each in rows]
    found = tuple(each for each in values if each is not None)
    return found if len(found) == len(values) else ()


def _version(row: list[Node], place: int) -> int | None:
    value = constant(row[place]) if place < len(row) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() else None
    return value
