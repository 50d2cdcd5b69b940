"""What a file makes anew and means to keep: continuous aggregates that it drops and creates again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tidelock.core.facts.tree import identifier

if TYPE_CHECKING:
    from tidelock.core.model import Migration
    from tidelock.core.statement import Script


class Wanted(Protocol):
    """What the settings say."""

    @property
    def on_recreate(self) -> str:
        """refuse or preserve."""


def rebuilt(migration: Migration, script: Script, target: Wanted) -> frozenset[str]:
    """Aggregates, as the file writes them, that it drops and creates again with their history kept."""
    statements = script.statements
    made = [each for one in statements for each in one.facts.creates if each.kind == "aggregate"]
    gone = {(each.schema, each.name) for one in statements for each in one.facts.drops}
    asked = {identifier(each.value) for each in migration.directives if each.name == "rebuild"}
    return frozenset(
        each.qualified
        for each in made
        if (each.schema, each.name) in gone
        and (target.on_recreate == "preserve" or {(each.schema, each.name), ("", each.name)} & asked)
    )
