"""INSERT, UPDATE, DELETE, COPY, TRUNCATE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import cascade, flags
from tidelock.core.facts.tree import constant, every, relation, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def insert(node: Node) -> Iterator[Action]:
    """INSERT."""
    select = node.get("selectStmt", {}).get("SelectStmt", {})
    conflict = node.get("onConflictClause", {})
    targets = [each["ResTarget"] for each in conflict.get("targetList", ())]
    yield Action(
        what="insert",
        table=relation(node["relation"]),
        names=tuple(each["ResTarget"].get("name", "") for each in node.get("cols", ())),
        options={"adds up": ",".join(adding(targets))},
        flags=flags(
            on_conflict="onConflictClause" in node,
            select="valuesLists" not in select and bool(select),
            where="whereClause" in select,
            absent=_absent(select),
            parts=any("indirection" in each["ResTarget"] for each in node.get("cols", ())),
        ),
    )


def _absent(select: Node) -> bool:
    """Whether a query leaves out what is there: WHERE NOT EXISTS, NOT IN, LEFT JOIN … IS NULL, EXCEPT."""
    if select.get("op") == "SETOP_EXCEPT":
        return True
    condition = select.get("whereClause", {})
    joins = any(key == "JoinExpr" for key, _ in every(select.get("fromClause", [])))
    return any(key == "SubLink" or (key == "NullTest" and joins) for key, _ in every(condition))


ADDING = ("+", "-", "*", "/", "||")


def adding(targets: Iterable[Node]) -> Iterator[str]:
    """The columns that an assignment makes from their own value, so that doing it twice gives another one."""
    for each in targets:
        name, value = each.get("name", ""), each.get("val", {})
        operation = value.get("A_Expr", {})
        sign = "".join(strings(operation.get("name", ())))
        if sign not in ADDING or (sign in ("-", "||") and _on_document(operation)):
            continue
        if any(key == "ColumnRef" and strings(found.get("fields", ()))[-1:] == [name] for key, found in every(value)):
            yield name


def _on_document(operation: Node) -> bool:
    """`document || '{…}'` and `document - 'key'` give the same when they are done again."""
    given = constant(operation.get("rexpr"))
    return isinstance(given, str) and ("-" in strings(operation.get("name", ())) or given.lstrip().startswith("{"))


def copy(node: Node) -> Iterator[Action]:
    """COPY … FROM."""
    if node.get("is_from") and "relation" in node:
        yield Action(what="copy from", table=relation(node["relation"]), names=tuple(strings(node.get("attlist", ()))))


def update(node: Node) -> Iterator[Action]:
    """UPDATE."""
    yield Action(
        what="update",
        table=relation(node["relation"]),
        names=tuple(each["ResTarget"].get("name", "") for each in node.get("targetList", ())),
        options={"adds up": ",".join(adding(each["ResTarget"] for each in node.get("targetList", ())))},
        flags=flags(
            where="whereClause" in node or "fromClause" in node,
            parts=any("indirection" in each["ResTarget"] for each in node.get("targetList", ())),
        ),
    )


def delete(node: Node) -> Iterator[Action]:
    """DELETE."""
    yield Action(
        what="delete",
        table=relation(node["relation"]),
        flags=flags(where="whereClause" in node or "usingClause" in node),
    )


def truncate(node: Node) -> Iterator[Action]:
    """TRUNCATE."""
    for each in node.get("relations", ()):
        only = not each["RangeVar"].get("inh", False)
        yield Action(what="truncate", table=relation(each["RangeVar"]), flags=flags(cascade=cascade(node), only=only))


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "TruncateStmt": truncate,
    "InsertStmt": insert,
    "CopyStmt": copy,
    "UpdateStmt": update,
    "DeleteStmt": delete,
}
