"""Whatever the object is: RENAME, SET SCHEMA, OWNER TO, DROP; a CREATE of which only the name counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import cascade, flags
from tidelock.core.facts.tree import KINDS, name_parts, relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def rename(node: Node) -> Iterator[Action]:
    """RENAME of anything."""
    kind = KINDS.get(node["renameType"], node["renameType"].removeprefix("OBJECT_").lower())
    if kind == "tabconstraint":
        kind = "constraint"
    table = relation(node["relation"]) if "relation" in node else ""
    name = node.get("subname") or ".".join(name_parts(node["object"]) if "object" in node else [table])
    yield Action(
        what=f"rename {kind}",
        table=table,
        name=name,
        new_name=node.get("newname", ""),
        flags=flags(
            guarded=node.get("missing_ok"), view="OBJECT_VIEW" in (node["renameType"], node.get("relationType", ""))
        ),
    )


def set_schema(node: Node) -> Iterator[Action]:
    """SET SCHEMA."""
    name = relation(node["relation"]) if "relation" in node else ".".join(name_parts(node.get("object", {"x": {}})))
    kind = KINDS.get(node["objectType"], "other")
    yield Action(what="set schema", table=name, name=kind, new_name=node.get("newschema", ""))


def set_owner(node: Node) -> Iterator[Action]:
    """ALTER SCHEMA, FUNCTION, TYPE, … OWNER TO."""
    name = relation(node["relation"]) if "relation" in node else ".".join(name_parts(node.get("object", {"x": {}})))
    kind = KINDS.get(node["objectType"], "other")
    yield Action(what="owner to", table=name, name=kind, new_name=node.get("newowner", {}).get("rolename", ""))


def drop(node: Node) -> Iterator[Action]:
    """DROP: one action for each object."""
    word = node["removeType"].removeprefix("OBJECT_").lower()
    kind = KINDS.get(node["removeType"], word.replace("_", " "))
    for each in node.get("objects", ()):
        parts = name_parts(each)
        owned = kind in ("trigger", "policy", "rule", "constraint") and len(parts) > 1
        yield Action(
            what=f"drop {kind}",
            table=".".join(parts[:-1] if owned else parts),
            name=parts[-1] if parts else "",
            flags=flags(guarded=node.get("missing_ok"), cascade=cascade(node), concurrently=node.get("concurrent")),
        )


def _dropped(kind: str, field: str) -> Callable[[Node], Iterator[Action]]:
    """A DROP with a node of its own."""

    def read(node: Node) -> Iterator[Action]:
        names = node.get(field, "")
        roles = [each["RoleSpec"].get("rolename", "") for each in names] if isinstance(names, list) else [names]
        for name in roles:
            yield Action(what=f"drop {kind}", name=name, flags=flags(guarded=node.get("missing_ok")))

    return read


def _created(kind: str, field: str) -> Callable[[Node], Iterator[Action]]:
    """A CREATE of which only the name and the guard count."""

    def read(node: Node) -> Iterator[Action]:
        value = node.get(field, "")
        name = relation(value) if isinstance(value, dict) else value
        yield Action(what=f"create {kind}", name=name, table=name, flags=flags(guarded=node.get("if_not_exists")))

    return read


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "RenameStmt": rename,
    "AlterObjectSchemaStmt": set_schema,
    "DropStmt": drop,
    "DropdbStmt": _dropped("database", "dbname"),
    "DropRoleStmt": _dropped("role", "roles"),
    "DropTableSpaceStmt": _dropped("tablespace", "tablespacename"),
    "DropSubscriptionStmt": _dropped("subscription", "subname"),
    "DropOwnedStmt": _dropped("owned", "roles"),
    "AlterOwnerStmt": set_owner,
    "CreateSchemaStmt": _created("schema", "schemaname"),
    "CreateSeqStmt": _created("sequence", "sequence"),
    "CreateExtensionStmt": _created("extension", "extname"),
    "CreatedbStmt": _created("database", "dbname"),
}
