"""INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import cascade, flags
from tidelock.core.facts.tree import constant, every, relation, strings, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def insert(node: Node) -> Iterator[Action]:
    """INSERT."""
    select = node.get("selectStmt", {}).get("SelectStmt", {})
    yield Action(
        what="insert",
        table=relation(node["relation"]),
        names=tuple(each["ResTarget"].get("name", "") for each in node.get("cols", ())),
        options={"adds up": ",".join(_adding_at_conflict(node))},
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


def _adding_at_conflict(node: Node) -> Iterator[str]:
    clause = node.get("onConflictClause", {})
    return adding(clause.get("targetList", ()), node["relation"], clause.get("whereClause", {}))


ADDING = ("+", "-", "*", "/", "||")


def adding(targets: Iterable[Node], table: Node, condition: Node) -> Iterator[str]:
    """The columns that an assignment makes from their own value, so that doing it twice gives another one."""
    assigned = [each["ResTarget"] for each in targets]
    own = {table.get("relname", ""), table.get("alias", {}).get("aliasname", "")} - {""}
    asked = {name for key, found in every([condition]) if key == "ColumnRef" for name in _column(found)[-1:]}
    for each in assigned:
        name, value = each.get("name", ""), each.get("val", {})
        operation = value.get("A_Expr", {})
        sign = "".join(strings(operation.get("name", ())))
        if sign not in ADDING or (sign in ("-", "||") and _on_document(operation)):
            continue
        if any(one.get("name") in asked for one in assigned if one is not each) or _met_once(condition, name, sign):
            continue  # the rows that are done are marked, and not met again
        if any(_is(found, name, own) for found in _outside_of_queries(value)):
            yield name


def _column(reference: Node) -> list[str]:
    """`t.x` as its parts."""
    return strings(reference.get("fields", ()))


def _is(reference: Node, name: str, own: set[str]) -> bool:
    """The column of the table itself; `excluded.x` and `other.x` are other values."""
    parts = _column(reference)
    return parts[-1:] == [name] and (len(parts) == 1 or parts[-2] in own)


def _outside_of_queries(value: Node) -> Iterator[Node]:
    """The columns that an expression names; those in queries within it are of other tables."""
    stack: list[Any] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield from (body for key, body in node.items() if key == "ColumnRef")
            stack += [body for key, body in node.items() if key != "SubLink"]
        elif isinstance(node, list):
            stack += node


UNLIKE = ("!~~", "!~~*", "!~", "!~*")


def _met_once(condition: Node, name: str, sign: str) -> bool:
    """`WHERE x = 3`, or for texts `WHERE x NOT LIKE '…'`: with its new value the row is not met again."""
    wanted = ("=", *UNLIKE) if sign == "||" else ("=",)
    for each in _all_of(condition):
        test = each.get("A_Expr", {})
        compared = test.get("kind") in ("AEXPR_OP", "AEXPR_LIKE", "AEXPR_ILIKE")
        column = test.get("lexpr", {}).get("ColumnRef", {})
        same = _column(column)[-1:] == [name] and "".join(strings(test.get("name", ()))) in wanted
        if compared and same and constant(test.get("rexpr")) is not None:
            return True
    return False


def _all_of(condition: Node) -> Iterator[Node]:
    """The conditions that AND joins."""
    joined = condition.get("BoolExpr", {})
    if joined.get("boolop") == "AND_EXPR":
        for each in joined.get("args", ()):
            yield from _all_of(each)
    elif condition:
        yield condition


def _on_document(operation: Node) -> bool:
    """`document || '{…}'` and `document - 'key'` give the same when they are done again."""
    given = operation.get("rexpr", {})
    made_by = strings(given.get("FuncCall", {}).get("funcname", ()))[-1:]
    if made_by and made_by[0] in DOCUMENTS:
        return True
    if strings(given.get("TypeCast", {}).get("typeName", {}).get("names", ()))[-1:] == ["interval"]:
        return False
    text = constant(given)
    return isinstance(text, str) and ("-" in strings(operation.get("name", ())) or text.lstrip().startswith("{"))


DOCUMENTS = ("jsonb_build_object", "jsonb_object", "to_jsonb", "hstore")


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
        options={
            "adds up": ",".join(adding(node.get("targetList", ()), node["relation"], node.get("whereClause", {}))),
            **_not_null(node),
        },
        flags=flags(
            where=_chooses(node.get("whereClause")),
            parts=any("indirection" in each["ResTarget"] for each in node.get("targetList", ())),
        ),
    )


def delete(node: Node) -> Iterator[Action]:
    """DELETE."""
    yield Action(
        what="delete",
        table=relation(node["relation"]),
        options=_not_null(node),
        flags=flags(where=_chooses(node.get("whereClause"))),
    )


def merge(node: Node) -> Iterator[Action]:
    """What MERGE does to rows that are there."""
    target, source = node["relation"], node.get("sourceRelation", {}).get("RangeVar", {})
    everything = relation(source) == relation(target) or not _chooses(node.get("joinCondition"))
    for each in node.get("mergeWhenClauses", ()):
        clause = each["MergeWhenClause"]
        what = MERGED.get(clause.get("commandType", ""))
        if what and clause.get("matchKind") != "MERGE_WHEN_NOT_MATCHED_BY_TARGET":
            rest = clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"
            yield Action(
                what=what,
                table=relation(target),
                names=tuple(one["ResTarget"].get("name", "") for one in clause.get("targetList", ())),
                flags=flags(where=_chooses(clause.get("condition")) or not (everything or rest)),
            )


MERGED = {"CMD_UPDATE": "update", "CMD_DELETE": "delete"}


def _chooses(condition: Node | None) -> bool:
    """Whether a WHERE can leave rows out: it is there, and neither true nor `1 = 1`."""
    if condition is None:
        return False
    kind, body = unwrap(condition)
    if kind == "A_Expr" and strings(body.get("name", ())) == ["="]:
        left, right = constant(body.get("lexpr")), constant(body.get("rexpr"))
        return left is None or left != right
    if kind == "BoolExpr":
        parts = [_chooses(each) for each in body.get("args", ())]
        return all(parts) if body.get("boolop") == "OR_EXPR" else any(parts) or body.get("boolop") == "NOT_EXPR"
    return constant(condition) is not True


def _not_null(node: Node) -> dict[str, str]:
    """`WHERE x IS NOT NULL` and nothing else: every row, where x is NOT NULL."""
    test = node.get("whereClause", {}).get("NullTest", {})
    column = _column(test.get("arg", {}).get("ColumnRef", {}))
    return {"not null": column[-1]} if column and test.get("nulltesttype") == "IS_NOT_NULL" else {}


def truncate(node: Node) -> Iterator[Action]:
    """TRUNCATE."""
    for each in node.get("relations", ()):
        only = not each["RangeVar"].get("inh", False)
        yield Action(what="truncate", table=relation(each["RangeVar"]), flags=flags(cascade=cascade(node), only=only))


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "TruncateStmt": truncate,
    "CopyStmt": copy,
}

CHANGES: dict[str, Callable[[Node], Iterable[Action]]] = {
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
}
"""What stands alone and in WITH."""


def changed(kind: str, node: Node) -> Iterable[Action]:
    """What a statement does that changes rows, wherever it stands."""
    return CHANGES[kind](node)
