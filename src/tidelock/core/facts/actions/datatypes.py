"""Enums, composite and range types, domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.columns import constraint_of
from tidelock.core.facts.actions.flags import flags
from tidelock.core.facts.tree import relation, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def create_enum(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS ENUM."""
    name = ".".join(strings(node.get("typeName", ())))
    yield Action(what="create type", name=name, names=tuple(strings(node.get("vals", ()))), flags=flags(enum=True))


def create_composite(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS (…)."""
    yield Action(what="create type", name=relation(node["typevar"]))


def create_range(node: Node) -> Iterator[Action]:
    """CREATE TYPE … AS RANGE."""
    yield Action(what="create type", name=".".join(strings(node.get("typeName", ()))))


def enum_value(node: Node) -> Iterator[Action]:
    """ALTER TYPE … ADD VALUE, RENAME VALUE."""
    name = ".".join(strings(node.get("typeName", ())))
    if "oldVal" in node:
        yield Action(what="rename value", table=name, name=node["oldVal"], new_name=node.get("newVal", ""))
        return
    yield Action(
        what="add value",
        name=name,
        new_name=node.get("newVal", ""),
        flags=flags(guarded=node.get("skipIfNewValExists"), placed="newValNeighbor" in node),
    )


def create_domain(node: Node) -> Iterator[Action]:
    """CREATE DOMAIN."""
    yield Action(
        what="create domain",
        name=".".join(strings(node.get("domainname", ()))),
        names=(".".join(strings(node.get("typeName", {}).get("names", ()))),),
        flags=flags(constraint=any("Constraint" in each for each in node.get("constraints", ()))),
    )


def alter_domain(node: Node) -> Iterator[Action]:
    """ALTER DOMAIN … ADD CONSTRAINT, VALIDATE CONSTRAINT, SET NOT NULL."""
    kinds = {"C": "add domain constraint", "O": "set domain not null", "V": "validate domain constraint"}
    what = kinds.get(node.get("subtype", ""))
    if what:
        constraint = constraint_of(node["def"]["Constraint"]) if "Constraint" in node.get("def", {}) else None
        yield Action(what=what, name=".".join(strings(node.get("typeName", ()))), constraint=constraint)


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreateEnumStmt": create_enum,
    "CompositeTypeStmt": create_composite,
    "CreateRangeStmt": create_range,
    "AlterEnumStmt": enum_value,
    "CreateDomainStmt": create_domain,
    "AlterDomainStmt": alter_domain,
}
