"""What is said beside the names: options that are on, CASCADE."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidelock.core.parser import Node


def flags(**given: object) -> frozenset[str]:
    """The names of those that are true; `_` in a name is a space."""
    return frozenset([name.replace("_", " ") for name, value in given.items() if value])


def cascade(node: Node) -> bool:
    """Whether CASCADE is said."""
    return node.get("behavior") == "DROP_CASCADE"
