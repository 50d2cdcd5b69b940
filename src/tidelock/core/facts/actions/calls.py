"""Calls of functions and procedures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.tree import constant, strings, unwrap

if TYPE_CHECKING:
    from tidelock.core.parser import Node


def called(node: Node) -> Action:
    """A call of a function or procedure that is run now."""
    arguments: dict[str, str | int | bool | None] = {}
    nulls, ages = [], {}
    for place, each in enumerate(node.get("args", ())):
        key = each["NamedArgExpr"].get("name", "") if "NamedArgExpr" in each else str(place)
        arguments[key] = _argument(each)
        if _is_null(each):
            nulls.append(key)
        elif age := _age(each):
            ages[key] = age
    name = ".".join(strings(node.get("funcname", ())))
    return Action(what="call", name=name, arguments=arguments, names=tuple(nulls), options=ages)


def _is_null(node: Node) -> bool:
    """Whether an argument is the constant NULL, casts looked through."""
    kind, body = unwrap(node)
    if kind in ("NamedArgExpr", "TypeCast"):
        return _is_null(body["arg"])
    return kind == "A_Const" and bool(body.get("isnull"))


def _age(node: Node) -> str:
    """Of `now() - interval '30 days'`: the interval; empty for all else."""
    kind, body = unwrap(node)
    if kind in ("NamedArgExpr", "TypeCast"):
        return _age(body["arg"]) if "arg" in body else ""
    if kind != "A_Expr" or strings(body.get("name", ())) != ["-"] or "lexpr" not in body:
        return ""
    clock = body["lexpr"].get("FuncCall", {})
    by_name = strings(clock.get("funcname", ()))[-1:] == ["now"]
    by_word = body["lexpr"].get("SQLValueFunction", {}).get("op", "").startswith(("SVFOP_CURRENT", "SVFOP_LOCALTIME"))
    back = constant(body.get("rexpr"))
    return back if (by_name or by_word) and isinstance(back, str) else ""


def _argument(node: Node) -> str | int | bool | None:
    """A constant; of `by_range('time', INTERVAL '1 day')` the column and the interval after it."""
    kind, body = unwrap(node)
    if kind == "NamedArgExpr":
        return _argument(body["arg"])
    if kind == "FuncCall" and strings(body.get("funcname", ()))[-1:] in (["by_range"], ["by_hash"]):
        inner = [constant(each) for each in body.get("args", ())]
        return ",".join(str(each) for each in inner if each is not None) or None
    return constant(node)
