"""CREATE TABLE, and each part of ALTER TABLE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.columns import column_of, constraint_of, default_kind
from tidelock.core.facts.actions.flags import cascade, flags
from tidelock.core.facts.tree import KINDS, every, options, relation, temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.action import Column
    from tidelock.core.parser import Node


def create_table(node: Node) -> Iterator[Action]:
    """CREATE TABLE."""
    table = node["relation"]
    columns = tuple(column_of(each["ColumnDef"]) for each in node.get("tableElts", ()) if "ColumnDef" in each)
    own = [constraint_of(each["Constraint"]) for each in node.get("tableElts", ()) if "Constraint" in each]
    yield Action(
        what="create table",
        table=relation(table),
        columns=columns,
        constraints=(*(found for each in columns for found in each.constraints), *own),
        names=tuple(relation(each["RangeVar"]) for each in node.get("inhRelations", ())),
        options=options(node.get("options", ())),
        flags=flags(
            guarded=node.get("if_not_exists"),
            temporary=temporary(table),
            partition="partbound" in node,
            partitioned="partspec" in node,
            inherits="inhRelations" in node and "partbound" not in node,
            like=any("TableLikeClause" in each for each in node.get("tableElts", ())),
        ),
    )


def create_foreign_table(node: Node) -> Iterator[Action]:
    """CREATE FOREIGN TABLE."""
    for each in create_table(node["base"]):
        yield replace(each, flags=each.flags | {"foreign"})


def alter_table(node: Node) -> Iterator[Action]:
    """Each part of ALTER TABLE, VIEW, INDEX, …"""
    kind = KINDS.get(node.get("objtype", ""), "other")
    if kind == "type":
        for each in node.get("cmds", ()):
            yield from _attribute(each["AlterTableCmd"], node["relation"])
        return
    for each in node.get("cmds", ()):
        yield from _part(each["AlterTableCmd"], node["relation"], kind)


PARTS = {
    "AT_AddColumn": "add column",
    "AT_DropColumn": "drop column",
    "AT_ColumnDefault": "set default",
    "AT_DropNotNull": "drop not null",
    "AT_SetNotNull": "set not null",
    "AT_SetExpression": "set expression",
    "AT_DropExpression": "drop expression",
    "AT_AlterColumnType": "alter type",
    "AT_AddIdentity": "add identity",
    "AT_DropIdentity": "drop identity",
    "AT_AddConstraint": "add constraint",
    "AT_DropConstraint": "drop constraint",
    "AT_ValidateConstraint": "validate constraint",
    "AT_SetLogged": "set logged",
    "AT_SetUnLogged": "set unlogged",
    "AT_SetAccessMethod": "set access method",
    "AT_SetTableSpace": "set tablespace",
    "AT_SetRelOptions": "set options",
    "AT_ResetRelOptions": "reset options",
    "AT_AttachPartition": "attach partition",
    "AT_DetachPartition": "detach partition",
    "AT_EnableRowSecurity": "enable row security",
    "AT_DisableRowSecurity": "disable row security",
    "AT_ForceRowSecurity": "force row security",
    "AT_NoForceRowSecurity": "no force row security",
    "AT_DisableTrig": "disable trigger",
    "AT_DisableTrigAll": "disable trigger",
    "AT_DisableTrigUser": "disable trigger",
    "AT_EnableTrig": "enable trigger",
    "AT_EnableTrigAll": "enable trigger",
    "AT_EnableTrigUser": "enable trigger",
    "AT_AddInherit": "inherit",
    "AT_DropInherit": "no inherit",
    "AT_ChangeOwner": "owner to",
    "AT_ReplicaIdentity": "replica identity",
}


COMPUTES = frozenset(("FuncCall", "A_Expr", "CaseExpr", "CoalesceExpr", "SubLink"))
"""A USING with one of these gives each row a value that only it knows."""


def _part(part: Node, table: Node, kind: str) -> Iterator[Action]:
    what = PARTS.get(part["subtype"], "alter table")
    definition: Node = part.get("def", {})
    column = definition.get("ColumnDef")
    constraint = definition.get("Constraint")
    partition = definition.get("PartitionCmd", {})
    if what == "set default" and not definition:
        what = "drop default"
    found = column_of({"colname": part.get("name", ""), **column}) if column is not None else None
    yield Action(
        what=what,
        table=relation(table),
        name=_part_name(part, found),
        column=found,
        constraint=constraint_of(constraint) if constraint is not None and "contype" in constraint else None,
        options=options(definition["List"].get("items", ())) if "List" in definition else {},
        new_name=part.get("newowner", {}).get("rolename", ""),
        names=(default_kind(definition),) if what == "set default" else (),
        flags=flags(
            guarded=part.get("missing_ok"),
            cascade=cascade(part),
            concurrently=partition.get("concurrent"),
            collates=column is not None and "collClause" in column,
            using=column is not None and "raw_default" in column,
            computes=column is not None and any(key in COMPUTES for key, _ in every(column.get("raw_default", {}))),
            view=kind in ("view", "materialized view"),
            materialized=kind == "materialized view",
            index=kind == "index",
            only=not table.get("inh", False),
        ),
    )


ATTRIBUTES = {"AT_DropColumn": "drop attribute", "AT_AlterColumnType": "alter attribute"}


def _attribute(part: Node, of: Node) -> Iterator[Action]:
    """DROP ATTRIBUTE and ALTER ATTRIBUTE … TYPE of a composite type, which is the table here."""
    what = ATTRIBUTES.get(part["subtype"])
    if what:
        yield Action(what=what, table=relation(of), name=part.get("name", ""), flags=flags(cascade=cascade(part)))


def _part_name(part: Node, column: Column | None) -> str:
    if column is not None:
        return column.name
    partition = part.get("def", {}).get("PartitionCmd", {})
    return relation(partition["name"]) if "name" in partition else str(part.get("name", ""))


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreateStmt": create_table,
    "AlterTableStmt": alter_table,
    "CreateForeignTableStmt": create_foreign_table,
}
