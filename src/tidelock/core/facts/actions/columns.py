"""Columns and constraints, types and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Column, Constraint
from tidelock.core.facts import functions
from tidelock.core.facts.tree import constant, every, relation, strings

if TYPE_CHECKING:
    from tidelock.core.parser import Node

CONSTRAINTS = {
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_FOREIGN": "foreign key",
    "CONSTR_CHECK": "check",
    "CONSTR_EXCLUSION": "exclude",
    "CONSTR_NOTNULL": "not null",
}


def type_name(node: Node) -> str:
    """`int4`, `varchar(20)`, `public.mood`, `text[]`."""
    parts = strings(node.get("names", ()))
    name = ".".join(parts[1:] if parts[:1] == ["pg_catalog"] else parts)
    sizes = [constant(each) for each in node["typmods"]] if "typmods" in node else ()
    if sizes and name != "interval" and all(isinstance(each, int) for each in sizes):
        name += f"({','.join(map(str, sizes))})"
    return name + "[]" * len(node.get("arrayBounds", ()))


def default_kind(expression: Node) -> str:
    """constant, stable, volatile or unknown."""
    found = "constant"
    if "A_Const" in expression:
        return found
    for key, value in every([expression]):
        if key == "SQLValueFunction" and found == "constant":
            found = "stable"
        if key != "FuncCall":
            continue
        name = strings(value.get("funcname", ()))[-1:]
        if not name or name[0] in functions.VARIES or name[0] in functions.ACTS:
            return "volatile" if name else "unknown"
        if name[0] in functions.READS:
            found = "stable" if found == "constant" and name[0] in STABLE else found
        else:
            found = "unknown"
    return found


STABLE = frozenset(("now", "transaction_timestamp", "statement_timestamp", "current_setting", "current_user"))


def column_of(node: Node) -> Column:
    """A ColumnDef."""
    name, default, generated, deferred = node.get("colname", ""), "", "", False
    found: list[Node] = []
    for each in node.get("constraints", ()):
        constraint = each["Constraint"]
        match constraint["contype"]:
            case "CONSTR_DEFAULT":
                default = default or default_kind(constraint.get("raw_expr", {}))
            case "CONSTR_IDENTITY":
                generated = generated or "identity"
            case "CONSTR_GENERATED":
                generated = generated or ("virtual" if constraint.get("generated_kind") == "v" else "stored")
            case "CONSTR_ATTR_DEFERRED":
                deferred = True
            case kind if kind in CONSTRAINTS:
                found.append(constraint)
    return Column(
        name=name,
        type=type_name(node.get("typeName", {})),
        default=default,
        generated=generated,
        constraints=tuple(
            [constraint_of({"initdeferred": True, **each} if deferred else each, name) for each in found]
        ),
    )


def constraint_of(node: Node, column: str = "") -> Constraint:
    """A Constraint, of a column when one is given."""
    columns = strings(node.get("fk_attrs" if node["contype"] == "CONSTR_FOREIGN" else "keys", ()))
    return Constraint(
        kind=CONSTRAINTS.get(node["contype"], "other"),
        name=node.get("conname", ""),
        columns=tuple(columns) or ((column,) if column else ()),
        not_valid=bool(node.get("skip_validation")) and not node.get("initially_valid", False),
        using_index=node.get("indexname", ""),
        references=relation(node["pktable"]) if "pktable" in node else "",
        cascades=node.get("fk_del_action") == "c",
        expression=_not_null_column(node.get("raw_expr", {})),
        deferred=bool(node.get("initdeferred")),
    )


def _not_null_column(expression: Node) -> str:
    test = expression.get("NullTest", {})
    if test.get("nulltesttype") != "IS_NOT_NULL":
        return ""
    return ".".join(strings(test.get("arg", {}).get("ColumnRef", {}).get("fields", ()))[-1:])
