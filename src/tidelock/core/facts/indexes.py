"""CREATE INDEX and REINDEX; and the definition of an index, to recognise one that has no name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.core import parser
from tidelock.core.facts import timescale
from tidelock.core.facts.search import look
from tidelock.core.facts.tree import PLACES, constant, named, on, options, relation, strings, unwrap, within
from tidelock.core.patterns import regex
from tidelock.core.statement import Kind
from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node


def create(draft: Draft, node: Node) -> None:
    """CREATE INDEX. CONCURRENTLY and transaction_per_chunk leave an invalid index when they are cut short, which
    IF NOT EXISTS passes by: neither is rerunnable."""
    table, settings = node["relation"], options(node.get("options", ()))
    concurrent = bool(node.get("concurrent"))
    draft.command = "CREATE INDEX CONCURRENTLY" if concurrent else "CREATE INDEX"
    draft.creates.append(within("index", node.get("idxname", ""), table))
    draft.guarded = bool(node.get("if_not_exists"))
    look(draft, [node.get("indexParams", []), node.get("whereClause", {})])
    draft.strange.clear()  # PostgreSQL takes immutable functions only, which change nothing
    if concurrent:
        draft.alone = "CREATE INDEX CONCURRENTLY builds in several transactions of its own"
    elif timescale.switched_on(settings, "transaction_per_chunk"):
        draft.alone = "CREATE INDEX … WITH (timescaledb.transaction_per_chunk) commits after each chunk"
    draft.lock(relation(table), "ShareUpdateExclusive" if concurrent else "Share")
    draft.rerunnable = draft.guarded and not draft.alone


_WHOLE = {"REINDEX_OBJECT_SCHEMA": "SCHEMA", "REINDEX_OBJECT_SYSTEM": "SYSTEM", "REINDEX_OBJECT_DATABASE": "DATABASE"}


def reindex(draft: Draft, node: Node) -> None:
    """REINDEX. CONCURRENTLY, cut short, leaves an invalid twin (…_ccnew) that a second run does not remove."""
    concurrent = on(options(node.get("params", ())), "concurrently")
    draft.kind = Kind.UTILITY
    draft.command = "REINDEX" + " CONCURRENTLY" * concurrent
    draft.rerunnable = not concurrent
    if whole := _WHOLE.get(node["kind"]):
        draft.command = f"REINDEX {whole}" + " CONCURRENTLY" * concurrent
        draft.alone = f"REINDEX {whole} reindexes each table in a transaction of its own"
    elif concurrent:
        draft.alone = "REINDEX CONCURRENTLY builds in several transactions of its own"
    target = node.get("relation")
    if target is None:
        return
    is_index = node["kind"] == "REINDEX_OBJECT_INDEX"
    draft.alters.append(named("index" if is_index else "table", relation(target).split(".")))
    weak = "ShareUpdateExclusive" if concurrent else "AccessExclusive" if is_index else "Share"
    draft.lock(relation(target), weak)


HANDLERS = {"IndexStmt": create, "ReindexStmt": reindex}


@record(frozen=True, slots=True)
class IndexDefinition:
    """What makes an index this index, whatever its name: comparable with what pg_get_indexdef() prints."""

    name: str
    """Empty when the statement leaves it to the server."""
    schema: str
    """Of its table, as written."""
    table: str
    unique: bool
    method: str
    columns: tuple[str, ...]
    """Columns by name; expressions as "(expression)"."""
    content: str
    """Everything that decides the index but its table: method, keys with order and operator class, INCLUDE, predicate,
    NULLS [NOT] DISTINCT. In a canonical form without casts, positions and defaults; storage parameters and
    tablespace are left out."""

    def same_as(self, other: IndexDefinition) -> bool:
        """Whether two definitions make the same index on the same table. A schema that one leaves out matches any."""
        return (
            self.table == other.table
            and self.content == other.content
            and (not self.schema or not other.schema or self.schema == other.schema)
        )


def index_definition(text: str) -> IndexDefinition | None:
    """The definition in a CREATE INDEX statement, or in a line of pg_get_indexdef(); None for anything else."""
    try:
        statements = parser.parse(text)
    except parser.Unreadable:
        return None
    if len(statements) != 1 or "IndexStmt" not in statements[0]:
        return None
    node: Node = statements[0]["IndexStmt"]
    keys = [each["IndexElem"] for each in node.get("indexParams", ())]
    table = node["relation"]
    return IndexDefinition(
        name=node.get("idxname", ""),
        schema=table.get("schemaname", ""),
        table=table.get("relname", ""),
        unique=bool(node.get("unique")),
        method=_method(node),
        content=_content(node, keys),
        columns=tuple(each.get("name", "(expression)") for each in keys),
    )


def _method(node: Node) -> str:
    return str(node.get("accessMethod") or "btree")


def _content(node: Node, keys: list[Node]) -> str:
    included = [each["IndexElem"].get("name", "") for each in node.get("indexIncludingParams", ())]
    parts = (
        _method(node),
        bool(node.get("unique")),
        bool(node.get("nulls_not_distinct")),
        [_key(each) for each in keys],
        included,
        canonical(node.get("whereClause")),
    )
    return json.dumps(parts, sort_keys=True)


def _key(element: Node) -> list[Any]:
    descending = element.get("ordering") == "SORTBY_DESC"
    first = {"SORTBY_NULLS_FIRST": True, "SORTBY_NULLS_LAST": False}.get(element.get("nulls_ordering", ""), descending)
    key = element.get("name") or canonical(element.get("expr"))
    return [
        key,
        descending,
        first,
        strings(element.get("opclass", ()))[-1:],
        strings(element.get("collation", ()))[-1:],
    ]


def canonical(node: Any) -> Any:
    """An expression as the server would print it again: casts, positions and spellings of one operator left out.

    The server prints `x IN (1, 2)` as `x = ANY (ARRAY[1, 2])`, BETWEEN as two comparisons, and adds casts to constants.
    """
    if isinstance(node, list):
        return [canonical(each) for each in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        kind, body = unwrap(node)
        if kind in ("TypeCast", "RelabelType"):
            return canonical(body.get("arg"))
        if kind == "A_Const" or constant(node) is not None:
            return ["constant", _plain(constant(node))]
        if kind == "A_Expr":
            return _operation(body)
    return {key: canonical(value) for key, value in node.items() if key not in PLACES}


_MOMENT = regex(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d)?)?(?:[+-]\d\d(?::?\d\d)?|Z)?")


def _plain(value: str | int | bool | None) -> str | bool | None:
    """A constant as text: the server prints -1 as '-1', and a date compared with a timestamptz with time and zone."""
    if value is None or isinstance(value, bool):
        return value
    if match := _MOMENT.fullmatch(str(value)):
        day, minute, second = match.groups()
        return f"{day} {minute or '00:00'}{second or ':00'}"
    return str(value)


def _operation(body: Node) -> Any:
    kind, left, right = body.get("kind"), canonical(body.get("lexpr")), canonical(body.get("rexpr"))
    name = strings(body.get("name", ()))[-1:]
    if kind == "AEXPR_IN":
        items = right.get("List", {}).get("items", []) if isinstance(right, dict) else right
        every = name == ["<>"]
        return ["all" if every else "any", name, left, items]
    if kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL"):
        items = right.get("A_ArrayExpr", {}).get("elements", right) if isinstance(right, dict) else right
        return ["all" if kind == "AEXPR_OP_ALL" else "any", name, left, items]
    if kind == "AEXPR_BETWEEN" and isinstance(right, dict):
        low, high = right["List"]["items"]
        return {"BoolExpr": {"boolop": "AND_EXPR", "args": [["op", [">="], left, low], ["op", ["<="], left, high]]}}
    return ["op", name, left, right]
