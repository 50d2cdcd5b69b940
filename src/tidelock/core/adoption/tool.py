"""The tools whose history can be taken over, and how each one's history is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.adoption import flyway, liquibase, plain, python, sqitch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.adoption.original import Files, Original


class Style(StrEnum):
    """What a row of its table says."""

    ROWS = "rows"
    """This one was applied."""
    REACHES = "reaches"
    """Everything up to this number was applied."""
    HEADS = "heads"
    """This one was applied, and all that it comes after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool."""

    name: str
    title: str
    read: Callable[[Files], list[Original]]
    style: Style = Style.ROWS
    version: Callable[[str], tuple[int, ...]] = lambda _: ()
    """A key as its order compares it; empty for what has no version. For tools that record a baseline."""
    chained: bool = False
    """A checksum covers the files before as well: behind the first that differs nothing is proved."""

    def one(self, key: str) -> object:
        """The same for keys that it takes for one version: Flyway's `1`, `01` and `1.0`."""
        return self.version(key) or key


TOOLS = {
    each.name: each
    for each in (
        Tool(name="golang-migrate", title="golang-migrate", read=plain.golang_migrate, style=Style.REACHES),
        Tool(name="dbmate", title="dbmate", read=plain.dbmate),
        Tool(name="flyway", title="Flyway", read=flyway.originals, version=flyway.version),
        Tool(name="goose", title="goose", read=plain.goose),
        Tool(name="sqitch", title="Sqitch", read=sqitch.originals),
        Tool(name="alembic", title="Alembic", read=python.alembic, style=Style.HEADS),
        Tool(name="liquibase", title="Liquibase", read=liquibase.originals),
        Tool(name="sqlx", title="sqlx", read=plain.sqlx),
        Tool(name="diesel", title="diesel", read=plain.diesel),
        Tool(name="yoyo", title="yoyo", read=python.yoyo),
        Tool(name="tern", title="tern", read=plain.tern, style=Style.REACHES),
        Tool(name="atlas", title="Atlas", read=plain.atlas, version=lambda key: tuple(key.encode()), chained=True),
        Tool(name="django", title="Django", read=python.django),
        Tool(name="rails", title="Rails", read=plain.rails),
    )
}
