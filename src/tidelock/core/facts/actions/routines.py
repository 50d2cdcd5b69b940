"""Functions and procedures, triggers, rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.action import Action
from tidelock.core.facts.actions.flags import flags
from tidelock.core.facts.tree import name_parts, relation, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidelock.core.parser import Node


def create_function(node: Node) -> Iterator[Action]:
    """CREATE FUNCTION or PROCEDURE."""
    given = [each["DefElem"] for each in node.get("options", ())]
    settings = [each["arg"]["VariableSetStmt"] for each in given if each.get("defname") == "set"]
    language = next((each["arg"]["String"].get("sval", "") for each in given if each.get("defname") == "language"), "")
    yield Action(
        what="create procedure" if node.get("is_procedure") else "create function",
        name=".".join(strings(node.get("funcname", ()))),
        options={"language": language.lower()},
        flags=flags(
            replace=node.get("replace"),
            trigger=strings(node.get("returnType", {}).get("names", ()))[-1:] == ["trigger"],
            security_definer=_definer(given),
            search_path=any(each.get("name") == "search_path" for each in settings),
        ),
    )


def _definer(given: Iterable[Node]) -> bool:
    return any(each.get("defname") == "security" and each["arg"].get("Boolean", {}).get("boolval") for each in given)


def alter_function(node: Node) -> Iterator[Action]:
    """ALTER FUNCTION, of which only its search_path and SECURITY DEFINER count."""
    given = [each["DefElem"] for each in node.get("actions", ())]
    yield Action(
        what="alter function",
        name=".".join(name_parts({"ObjectWithArgs": node.get("func", {})})),
        flags=flags(
            security_definer=_definer(given),
            search_path=any(
                each.get("arg", {}).get("VariableSetStmt", {}).get("name") == "search_path" for each in given
            ),
        ),
    )


def create_trigger(node: Node) -> Iterator[Action]:
    """CREATE TRIGGER."""
    yield Action(
        what="create trigger",
        table=relation(node["relation"]),
        name=node.get("trigname", ""),
        new_name=".".join(strings(node.get("funcname", ()))),
        flags=flags(
            replace=node.get("replace"),
            constraint=node.get("isconstraint"),
            row=node.get("row"),
            transitions="transitionRels" in node,
        ),
    )


def create_rule(node: Node) -> Iterator[Action]:
    """CREATE RULE."""
    yield Action(
        what="create rule",
        table=relation(node["relation"]),
        name=node.get("rulename", ""),
        flags=flags(replace=node.get("replace"), select=node.get("event") == "CMD_SELECT"),
    )


READERS: dict[str, Callable[[Node], Iterable[Action]]] = {
    "CreateFunctionStmt": create_function,
    "AlterFunctionStmt": alter_function,
    "CreateTrigStmt": create_trigger,
    "RuleStmt": create_rule,
}
