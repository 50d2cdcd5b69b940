"""SELECT, INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY; tables and views made from queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts import timescale
from tidelock.core.facts.search import look
from tidelock.core.facts.tree import is_temporary_schema, options, related, relation, strings, temporary, unwrap
from tidelock.core.statement import Kind, Object

if TYPE_CHECKING:
    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node


def select(draft: Draft, node: Node) -> None:
    """Reads, as far as its functions do; FOR UPDATE, WITH … AS (INSERT …) and INTO do more."""
    draft.kind = Kind.QUERY
    look(draft, {"SelectStmt": node}, reads=True, literals=True)
    if into := _into(node):
        draft.kind = Kind.DDL
        _creates_relation(draft, "table", into["rel"])
        draft.command = "SELECT INTO"
        return
    draft.command = _only_call(node) or ("VALUES" if "valuesLists" in node else "SELECT")
    draft.rerunnable = not (draft.unrepeatable or draft.writes)


def _into(node: Node) -> Node | None:
    """The INTO clause, which a UNION keeps in its first branch."""
    while "larg" in node:
        node = node["larg"]
    return node.get("intoClause")


def _only_call(node: Node) -> str:
    """The function in `SELECT f(…)` and `SELECT * FROM f(…)`, when TimescaleDB's: its name is what people call it."""
    targets = node.get("targetList", [])
    if len(targets) != 1:
        return ""
    value = targets[0]["ResTarget"].get("val", {})
    names = strings(value.get("FuncCall", {}).get("funcname", ()))
    if not names and len(sources := node.get("fromClause", [])) == 1 and "RangeFunction" in sources[0]:
        function = sources[0]["RangeFunction"]["functions"][0]["List"]["items"][0]
        names = strings(function.get("FuncCall", {}).get("funcname", ()))
    return names[-1] if names and names[-1] in timescale.FUNCTIONS else ""


def insert(draft: Draft, node: Node) -> None:
    """Runs twice without harm only as VALUES … ON CONFLICT (columns it gives) DO NOTHING, and without varying values.

    Without a conflict target the table may have no unique constraint that the rows meet, a column that is not given
    gets its next default, DO UPDATE could overwrite and SELECT find what came in between.
    """
    draft.kind, draft.command = Kind.DML, "INSERT"
    look(draft, {"InsertStmt": node}, reads=True, literals=True)
    draft.rerunnable = _keeps_conflicting_rows(node) and not (draft.unrepeatable or draft.varies)
    _temporary_only(draft)


def _temporary_only(draft: Draft) -> None:
    """Writes to tables in pg_temp and nothing else: the effect is the session's. Without the schema nobody can tell."""
    draft.session_only = not draft.unrepeatable and all(
        is_temporary_schema(each.partition(".")[0]) for each in draft.writes
    )


def _keeps_conflicting_rows(node: Node) -> bool:
    conflict = node.get("onConflictClause", {})
    rows = node.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists")
    if conflict.get("action") != "ONCONFLICT_NOTHING" or not rows:
        return False
    keys = [each["IndexElem"].get("name", "") for each in conflict.get("infer", {}).get("indexElems", ())]
    given = {each["ResTarget"].get("name", "") for each in node.get("cols", ())}
    return bool(keys) and all(keys) and given.issuperset(keys)


def update(draft: Draft, node: Node) -> None:
    """Not rerunnable: rows that came in between may match as well."""
    draft.kind, draft.command = Kind.DML, "UPDATE"
    look(draft, {"UpdateStmt": node}, reads=True, literals=True)
    _temporary_only(draft)


def delete(draft: Draft, node: Node) -> None:
    """Not rerunnable: rows that came in between may match as well."""
    draft.kind, draft.command = Kind.DML, "DELETE"
    look(draft, {"DeleteStmt": node}, reads=True, literals=True)
    _temporary_only(draft)


def merge(draft: Draft, node: Node) -> None:
    """Not rerunnable, as UPDATE and DELETE."""
    draft.kind, draft.command = Kind.DML, "MERGE"
    look(draft, {"MergeStmt": node}, reads=True, literals=True)
    _temporary_only(draft)


def truncate(draft: Draft, node: Node) -> None:
    """AccessExclusive on each table; a repetition would erase rows that came in between."""
    draft.kind, draft.command = Kind.DML, "TRUNCATE"
    draft.cascade = node.get("behavior") == "DROP_CASCADE"
    for each in node.get("relations", ()):
        table = relation(each["RangeVar"])
        draft.write(table)
        draft.lock(table, "AccessExclusive")


def copy(draft: Draft, node: Node) -> None:
    """COPY FROM writes; COPY TO a file or program, and FROM a program, reach out of the database."""
    draft.kind, draft.command = Kind.COPY, "COPY"
    inwards = bool(node.get("is_from"))
    draft.external = bool(node.get("is_program")) or (bool(node.get("filename")) and not inwards)
    draft.rerunnable = not inwards and not draft.external
    if node.get("is_program"):
        draft.strange.add("a program")
    if table := node.get("relation"):
        if inwards:
            draft.write(relation(table), adds=True)
        else:
            draft.lock(relation(table), "AccessShare")
        draft.session |= temporary(table)
    look(draft, [node.get("query", {}), node.get("whereClause", {})], reads=True, literals=True)
    draft.rerunnable &= not (draft.unrepeatable or draft.writes)


def create_table_as(draft: Draft, node: Node) -> None:
    """CREATE TABLE AS, CREATE MATERIALIZED VIEW, and continuous aggregates."""
    into = node["into"]
    settings = options(into.get("options", ()))
    look(draft, node.get("query", {}), reads=True, runs=not into.get("skipData"))
    draft.guarded = bool(node.get("if_not_exists"))
    if timescale.switched_on(settings, "continuous"):
        _continuous_aggregate(draft, into)
        return
    kind = "materialized view" if node.get("objtype") == "OBJECT_MATVIEW" else "table"
    _creates_relation(draft, kind, into["rel"])
    draft.command = "CREATE MATERIALIZED VIEW" if kind == "materialized view" else "CREATE TABLE AS"
    draft.rerunnable = draft.guarded
    if "ExecuteStmt" in node.get("query", {}):
        draft.session = True


def _continuous_aggregate(draft: Draft, into: Node) -> None:
    """WITH DATA, the default, fills the aggregate in transactions of its own.

    Cut short it leaves an aggregate without its rows, which IF NOT EXISTS then passes by: not rerunnable.
    """
    draft.command = "CREATE MATERIALIZED VIEW … WITH (timescaledb.continuous)"
    draft.creates.append(related("aggregate", into["rel"]))
    if into.get("skipData"):
        draft.rerunnable = draft.guarded
    else:
        draft.alone = "a continuous aggregate WITH DATA (the default) fills itself in transactions of its own"


def _creates_relation(draft: Draft, kind: str, range_var: Node) -> None:
    draft.creates.append(related(kind, range_var))
    if temporary(range_var):
        draft.session = draft.session_only = True


def create_view(draft: Draft, node: Node) -> None:
    """CREATE [OR REPLACE] VIEW: reads nothing yet, and holds AccessShare on what it names."""
    draft.command = "CREATE VIEW"
    look(draft, node.get("query", {}), reads=True, runs=False)
    _creates_relation(draft, "view", node["view"])
    draft.guarded = draft.rerunnable = bool(node.get("replace"))
    if draft.guarded:
        draft.alters.append(related("view", node["view"]))
        draft.lock(relation(node["view"]), "AccessExclusive")


def refresh(draft: Draft, node: Node) -> None:
    """CONCURRENTLY lets readers through (Exclusive), and in spite of its name runs in a transaction block."""
    concurrent = bool(node.get("concurrent"))
    draft.kind = Kind.UTILITY
    draft.command = "REFRESH MATERIALIZED VIEW" + " CONCURRENTLY" * concurrent
    view = node["relation"]
    draft.alters.append(related("materialized view", view))
    draft.writes.add(relation(view))
    draft.lock(relation(view), "Exclusive" if concurrent else "AccessExclusive", rewrite=not concurrent)
    draft.rerunnable = True


def explain(draft: Draft, node: Node) -> None:
    """EXPLAIN takes the locks of its statement; with ANALYZE it runs it."""
    runs = options(node.get("options", ())).get("analyze", "false").lower() not in ("false", "off", "0")
    kind, inner = unwrap(node["query"])
    look(draft, node["query"], reads=True, runs=runs, literals=True)
    draft.kind, draft.command = Kind.QUERY, "EXPLAIN ANALYZE" if runs else "EXPLAIN"
    if runs and kind in ("CreateTableAsStmt", "SelectStmt") and "into" in inner:
        draft.creates.append(Object("table", inner["into"]["rel"].get("relname", "")))
    draft.rerunnable = not runs or not (draft.unrepeatable or draft.writes or draft.creates)
    draft.session |= kind == "ExecuteStmt"


HANDLERS = {
    "SelectStmt": select,
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
    "TruncateStmt": truncate,
    "CopyStmt": copy,
    "CreateTableAsStmt": create_table_as,
    "ViewStmt": create_view,
    "RefreshMatViewStmt": refresh,
    "ExplainStmt": explain,
}
