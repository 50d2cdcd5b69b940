"""Searching a statement: the functions it calls, the tables it reads and writes, its string constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.facts import functions
from tidelock.core.facts.ledger import versions_of
from tidelock.core.facts.timescale import FUNCTIONS as TIMESCALE
from tidelock.core.facts.tree import constant, identifier, relation, strings, unwrap

if TYPE_CHECKING:
    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

Scope = frozenset[str]
"""Names of WITH queries, which hide tables."""

_NO_NAMES: Scope = frozenset()
_WRITERS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_NOTED = _WRITERS | {"FuncCall", "RangeVar"}
_PASSED_BY = frozenset({"withClause", "lockingClause", "String", "ColumnRef", "funcname", "keys"})
"""The first two are read elsewhere, and nothing is in the others but names."""
_NESTED = frozenset({dict, list})
_Stack = list[tuple[Any, Scope]]


def look(draft: Draft, root: Any, *, reads: bool = False, runs: bool = True, literals: bool = False) -> None:
    """Search a tree for function calls and, where asked, for the tables it reads and its string constants.

    `runs` says that the expressions are evaluated now, not only stored (a column's DEFAULT, a view's query).
    Iterative, because a chain of a thousand UNION ALL is nested as deeply.
    """
    stack: _Stack = [(root, _NO_NAMES)]
    while stack:
        node, scope = stack.pop()
        if type(node) is list:
            stack += [(each, scope) for each in node if type(each) in _NESTED]
            continue
        if "withClause" in node:
            scope = _enter(node["withClause"], scope, stack)
        if reads and "lockingClause" in node:
            _lock_rows(draft, node, scope)
        for key, value in node.items():
            kind = type(value)
            if kind is list:
                if key not in _PASSED_BY:
                    stack += [(each, scope) for each in value if type(each) in _NESTED and "String" not in each]
                continue
            if kind is not dict or key in _PASSED_BY or (key == "typeName" and "typmods" not in value):
                continue
            if key == "A_Const":
                if literals and "sval" in value:
                    draft.literals.add(value["sval"].get("sval", ""))
                continue
            if key in _NOTED:
                _note(draft, key, value, scope, reads=reads, runs=runs)
            stack.append((value, scope))


def _note(draft: Draft, key: str, value: Node, scope: Scope, *, reads: bool, runs: bool) -> None:
    if key == "FuncCall":
        call(draft, value, runs=runs)
    elif key != "RangeVar":
        _write(draft, value, adds=key == "InsertStmt", reads=reads, runs=runs)
        if draft.detailed and runs:
            from tidelock.core.facts.actions import changed

            draft.actions += changed(key, value)
    elif reads and relation(value) not in scope:
        draft.lock(relation(value), "AccessShare")


def _enter(clause: Node, scope: Scope, stack: _Stack) -> Scope:
    """Read a WITH clause: each of its names hides a table in what follows, under RECURSIVE in all of it."""
    queries = [each["CommonTableExpr"] for each in clause.get("ctes", ())]
    if clause.get("recursive"):
        scope = scope | {each.get("ctename", "") for each in queries}
    for each in queries:
        stack.append((each.get("ctequery", {}), scope))
        scope = scope | {each.get("ctename", "")}
    return scope


def _write(draft: Draft, statement: Node, *, adds: bool, reads: bool, runs: bool) -> None:
    """A statement that changes rows; stored in a view or a rule it only names the table."""
    target = relation(statement.get("relation", {}))
    if runs:
        found = versions_of(statement)
        overwrites = statement.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE" and not found
        draft.write(target, adds=adds and not overwrites)  # a file's own row of the ledger is nobody's loss
        if found is not None:
            draft.ledger_versions = (*(draft.ledger_versions or ()), *found)
    elif reads:
        draft.lock(target, "RowExclusive")


def _lock_rows(draft: Draft, select: Node, scope: Scope) -> None:
    """FOR UPDATE and its like: RowShare on the tables of that FROM, or on those it names."""
    tables = [each for each in _sources(select.get("fromClause", [])) if relation(each) not in scope]
    for clause in select["lockingClause"]:
        wanted = {each["RangeVar"].get("relname") for each in clause["LockingClause"].get("lockedRels", ())}
        for table in tables:
            alias = table.get("alias", {}).get("aliasname", table.get("relname"))
            if not wanted or alias in wanted:
                draft.lock(relation(table), "RowShare")


def _sources(items: list[Node]) -> list[Node]:
    """The tables of a FROM list, joins looked through."""
    found: list[Node] = []
    stack = list(items)
    while stack:
        kind, body = unwrap(stack.pop())
        if kind == "RangeVar":
            found.append(body)
        elif kind == "JoinExpr":
            stack.extend(body[side] for side in ("larg", "rarg") if side in body)
    return found


def call(draft: Draft, node: Node, *, runs: bool = True) -> None:
    """Note a function call and, when it is run now, what the function may do."""
    parts = strings(node.get("funcname", ()))
    draft.calls.add(".".join(parts))
    if not runs:
        return
    name = parts[-1] if parts else ""
    builtin = name if len(parts) == 1 or parts[-2] == "pg_catalog" else ""
    if builtin in functions.READS:
        return
    if builtin in functions.VARIES:
        draft.varies = True
        return
    if not functions.harmless(parts):
        draft.strange.add(".".join(parts))
    if known := TIMESCALE.get(name):
        known(draft, node)
        if draft.detailed:
            from tidelock.core.facts.actions import called

            draft.actions.append(called(node))
        return
    if builtin == "setval":
        draft.harms.add(("sets", ".".join(filter(None, _sequence(node)))))
    draft.unrepeatable = True
    draft.external |= functions.is_external(name)
    local = builtin == "set_config" and constant(next(iter(node.get("args", [])[2:3]), None)) is True
    draft.session |= builtin not in functions.ACTS and not local
    if builtin in functions.KEEPS and not local:
        draft.keeps = draft.keeps or builtin


def _sequence(setval: Node) -> tuple[str, str]:
    """(schema, name) of the sequence, or of the table in setval(pg_get_serial_sequence('t', 'id'), …)."""
    first: Node = next(iter(setval.get("args", ())), {})
    inner = first.get("TypeCast", {}).get("arg", first).get("FuncCall", {})
    if strings(inner.get("funcname", ()))[-1:] == ["pg_get_serial_sequence"]:
        first = next(iter(inner.get("args", ())), {})
    value = constant(first)
    return identifier(value) if isinstance(value, str) else ("", "a sequence")
