"""Roles, rights, policies; SET and RESET."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import flags
from tidelock.core.facts.tree import KINDS, constant, name_parts, options, relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def grant(node: Node) -> Iterator[Action]:
    """GRANT and REVOKE on objects."""
    kind = KINDS.get(node.get("objtype", ""), "other")
    yield Action(
        what="grant" if node.get("is_grant") else "revoke",
        table=", ".join(".".join(name_parts(each)) for each in node.get("objects", ())),
        name=kind,
        names=tuple(_roles(node.get("grantees", ()))),
        flags=flags(everything=node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA", all="privileges" not in node),
    )


def default_privileges(node: Node) -> Iterator[Action]:
    """ALTER DEFAULT PRIVILEGES: rights on what is made later, by roles that have to be there."""
    makers = options_of(node, "roles")
    for each in grant(node["action"]):
        yield replace(each, names=(*each.names, *_roles(makers)))


def options_of(node: Node, name: str) -> list[Node]:
    """The list that an option of a statement has."""
    found = (each["DefElem"] for each in node.get("options", ()) if each["DefElem"].get("defname") == name)
    return [item for each in found for item in each.get("arg", {}).get("List", {}).get("items", ())]


def grant_role(node: Node) -> Iterator[Action]:
    """GRANT role TO role."""
    yield Action(
        what="grant role" if node.get("is_grant") else "revoke role",
        name=", ".join(each["AccessPriv"].get("priv_name", "") for each in node.get("granted_roles", ())),
        names=tuple(_roles(node.get("grantee_roles", ()))),
    )


def _roles(items: Iterable[Node]) -> Iterator[str]:
    """Role names; PUBLIC, CURRENT_USER and their like are left out."""
    for each in items:
        if name := each["RoleSpec"].get("rolename"):
            yield name


def create_role(node: Node) -> Iterator[Action]:
    """CREATE ROLE, USER, GROUP."""
    yield Action(what="create role", name=node.get("role", ""), options=options(node.get("options", ())))


def alter_role(node: Node) -> Iterator[Action]:
    """ALTER ROLE."""
    role = node.get("role", {}).get("rolename", "")
    yield Action(what="alter role", name=role, options=options(node.get("options", ())))


def create_policy(node: Node) -> Iterator[Action]:
    """CREATE POLICY."""
    yield Action(
        what="create policy",
        table=relation(node["table"]),
        name=node.get("policy_name", ""),
        names=tuple(each["RoleSpec"].get("rolename", "") for each in node.get("roles", ())),
    )


def set_variable(node: Node) -> Iterator[Action]:
    """SET and RESET."""
    values = [constant(each) for each in node.get("args", ())]
    yield Action(
        what="reset" if "RESET" in node["kind"] else "set",
        name=node.get("name", "").lower(),
        names=tuple("" if each is None else str(each) for each in values),
        flags=flags(local=node.get("is_local")),
    )


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreatePolicyStmt": create_policy,
    "GrantStmt": grant,
    "AlterDefaultPrivilegesStmt": default_privileges,
    "GrantRoleStmt": grant_role,
    "CreateRoleStmt": create_role,
    "AlterRoleStmt": alter_role,
    "VariableSetStmt": set_variable,
}
