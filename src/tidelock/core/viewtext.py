"""A view's query as PostgreSQL prints it, in one form for all versions.

Before PostgreSQL 16 columns of a query over one relation are printed as `t.a`, from 16 on as `a`; where there are
several relations, or around them another query, all versions print `t.a`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.parser import Unreadable, parse

if TYPE_CHECKING:
    from collections.abc import Iterator


def unqualified(query: str) -> str:
    """The query with `t.` left out where it reads from nothing but `t`."""
    query = query.strip()
    try:
        [statement] = parse(query)
    except (Unreadable, ValueError):
        return query
    select = statement.get("SelectStmt", {})
    name = only_source(select.get("fromClause", []))
    if not name:
        return query
    raw = query.encode()
    for start in sorted(set(prefixed(select, name)), reverse=True):
        for prefix in (f"{name}.".encode(), f'"{name.replace(chr(34), chr(34) * 2)}".'.encode()):
            if raw.startswith(prefix, start):
                raw = raw[:start] + raw[start + len(prefix) :]
                break
    return raw.decode()


def only_source(sources: list[Any]) -> str:
    """The name of the one relation, function or subquery that a query reads. Empty when there is not exactly one."""
    if len(sources) != 1:
        return ""
    [(kind, source)] = sources[0].items()
    alias: str = source.get("alias", {}).get("aliasname", "")
    return alias or (str(source["relname"]) if kind == "RangeVar" else "") if kind.startswith("Range") else ""


def prefixed(node: Any, name: str) -> Iterator[int]:
    """Byte offsets of `name.column` in a query, without those in queries inside of it."""
    if isinstance(node, list):
        for each in node:
            yield from prefixed(each, name)
    elif isinstance(node, dict):
        reference = node.get("ColumnRef")
        if reference is not None:
            fields = reference.get("fields", [])
            if len(fields) == 2 and fields[0].get("String", {}).get("sval") == name and "String" in fields[1]:
                yield reference.get("location", 0)
        for kind, each in node.items():
            if kind not in ("ColumnRef", "SubLink", "fromClause", "withClause"):
                yield from prefixed(each, name)
