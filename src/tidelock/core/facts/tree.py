"""Reading names, options and constants from the nodes of a parse tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.patterns import regex
from tidelock.core.statement import Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.core.parser import Node

TEMPORARY = "pg_temp"
"""The schema that an Object in a temporary schema gets."""

KINDS = {
    "OBJECT_AGGREGATE": "function",
    "OBJECT_COLUMN": "column",
    "OBJECT_DATABASE": "database",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_FOREIGN_TABLE": "table",
    "OBJECT_FUNCTION": "function",
    "OBJECT_INDEX": "index",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_OPERATOR": "operator",
    "OBJECT_POLICY": "policy",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_PUBLICATION": "publication",
    "OBJECT_ROLE": "role",
    "OBJECT_ROUTINE": "function",
    "OBJECT_RULE": "rule",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_SUBSCRIPTION": "subscription",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TABLE": "table",
    "OBJECT_TABLESPACE": "tablespace",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_TYPE": "type",
    "OBJECT_VIEW": "view",
}
"""The parser's object types → the kinds of `model.Object`. What is missing is "other"."""

ON_A_TABLE = frozenset({"column", "constraint", "policy", "rule", "trigger"})
"""Kinds that the parser names as [schema,] table, name."""


PLACES = frozenset(
    {
        "location",
        "stmt_location",
        "stmt_len",
        "name_location",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
    }
)
"""Fields that say where in its text a node stands: not what it is."""


def unwrap(node: Node) -> tuple[str, Any]:
    """A wrapped node's type and body: `{"String": {…}}` → `("String", {…})`."""
    return next(iter(node.items()))


def strings(items: Iterable[Node]) -> list[str]:
    """The texts of a list of String nodes."""
    return [each["String"].get("sval", "") for each in items if "String" in each]


def relation(range_var: Node) -> str:
    """A relation as Locks and writes name it: `name` or `schema.name`, folded as the parser folds it."""
    schema = range_var.get("schemaname", "")
    name: str = range_var.get("relname", "")
    return f"{schema}.{name}" if schema else name


def schema_of(range_var: Node) -> str:
    """The schema as written, pg_temp for temporary relations."""
    return TEMPORARY if temporary(range_var) else str(range_var.get("schemaname", ""))


def temporary(range_var: Node) -> bool:
    """True for CREATE TEMP … and for names in pg_temp."""
    return range_var.get("relpersistence") == "t" or is_temporary_schema(range_var.get("schemaname", ""))


def is_temporary_schema(name: str) -> bool:
    """True for pg_temp and pg_temp_3."""
    return name == TEMPORARY or name.startswith("pg_temp_")


def related(kind: str, range_var: Node) -> Object:
    """The Object for a relation."""
    return Object(kind, range_var.get("relname", ""), schema_of(range_var))


def within(kind: str, name: str, range_var: Node) -> Object:
    """The Object for something that belongs to a table: column, trigger, policy, index, …"""
    return Object(kind, name, schema_of(range_var), relation(range_var))


def named(kind: str, names: list[str]) -> Object:
    """The Object for a list of name parts: [[catalog,] schema,] name, or [[…] schema,] table, name."""
    if kind in ON_A_TABLE and len(names) > 1:
        *before, table, name = names
        schema = before[-1] if before else ""
        return Object(kind, name, schema, f"{schema}.{table}" if schema else table)
    *before, name = names or [""]
    return Object(kind, name, before[-1] if before else "")


def name_parts(node: Node) -> list[str]:
    """The name parts of whatever DROP, COMMENT and their like name an object with."""
    match unwrap(node):
        case "List", body:
            parts = [name_parts(each) for each in body.get("items", ())]
            return [part for each in parts for part in each]
        case "String", body:
            return [body.get("sval", "")]
        case "ObjectWithArgs", body:
            return strings(body.get("objname", ()))
        case "TypeName", body:
            return strings(body.get("names", ()))
        case "RangeVar", body:
            return [body[key] for key in ("schemaname", "relname") if key in body]
        case "RoleSpec", body:
            return [body.get("rolename", "")]
    return []


def options(elements: Iterable[Node]) -> dict[str, str]:
    """DefElem nodes → name (with its namespace: `timescaledb.continuous`) → value as text; no value is "true"."""
    return {
        _option_name(each["DefElem"]): _option_value(each["DefElem"].get("arg"))
        for each in elements
        if "DefElem" in each
    }


def _option_name(element: Node) -> str:
    namespace = element.get("defnamespace", "")
    name = element.get("defname", "")
    return f"{namespace}.{name}".lower() if namespace else str(name).lower()


def _option_value(argument: Node | None) -> str:
    if argument is None:
        return "true"
    kind, body = unwrap(argument)
    match kind:
        case "A_Const":
            return "" if (value := constant(argument)) is None else str(value)
        case "String":
            return str(body.get("sval", ""))
        case "Integer":
            return str(body.get("ival", 0))
        case "Float":
            return str(body.get("fval", ""))
        case "Boolean":
            return str(body.get("boolval", False)).lower()
        case "TypeName":
            return ".".join(strings(body.get("names", ())))
    return ""


def on(settings: dict[str, str], name: str, *, default: bool = False) -> bool:
    """Whether an option is switched on, read as PostgreSQL reads a Boolean."""
    if name not in settings:
        return default
    return settings[name].lower() in ("true", "t", "on", "yes", "y", "1")


def constant(node: Node | None) -> str | int | bool | None:
    """The value of a constant, casts and signs looked through; None when it is not a constant, or NULL."""
    if node is None:
        return None
    kind, body = unwrap(node)
    match kind:
        case "A_Const":
            return _literal(body)
        case "TypeCast" | "NamedArgExpr" | "CollateClause":
            return constant(body.get("arg"))
        case "A_Expr" if strings(body.get("name", ())) == ["-"] and "lexpr" not in body:
            value = constant(body.get("rexpr"))
            return -value if isinstance(value, int) else None
    return None


def _literal(body: Node) -> str | int | bool | None:
    if "sval" in body:
        return str(body["sval"].get("sval", ""))
    if "ival" in body:
        return int(body["ival"].get("ival", 0))
    if "boolval" in body:
        return bool(body["boolval"].get("boolval", False))
    if "fval" in body:
        text = str(body["fval"].get("fval", ""))
        return int(text) if text.isdecimal() else text
    return None


def every(root: Any) -> Iterator[tuple[str, Any]]:
    """Every field of a tree with its name, from the outside in and in the order of the text. Iterative."""
    stack = [root]
    while stack:
        node = stack.pop()
        if type(node) is list:
            stack += node[::-1]
        elif type(node) is dict:
            yield from node.items()
            stack += [value for value in reversed(node.values()) if type(value) is dict or type(value) is list]


_IDENTIFIER = regex(r'\s*(?:"((?:[^"]|"")+)"|([^\s."]+))\s*(\.)?')


def identifier(text: str) -> tuple[str, str]:
    """(schema, name) of a name in a string constant, as a cast to regclass reads it: `S."t"` → `("s", "t")`."""
    parts: list[str] = []
    position = 0
    while match := _IDENTIFIER.match(text, position):
        quoted, plain, dot = match.groups()
        parts.append(quoted.replace('""', '"') if quoted is not None else plain.lower())
        position = match.end()
        if dot is None:
            break
    *before, name = parts or [""]
    return (before[-1] if before else ""), name
