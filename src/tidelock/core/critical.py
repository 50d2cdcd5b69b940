"""Tables that the application cannot start without: what is wanted, and how each one stands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Container


@record(frozen=True, slots=True, kw_only=True)
class Critical:
    """One `[[critical]]` of tidelock.toml."""

    table: str
    """`name` or `schema.name`."""
    columns: tuple[str, ...] = ()
    """Columns that it must have; empty when any will do."""
    migration: int | None = None
    """The version that creates it."""
    fallback: str = ""
    """Path of a script that creates it when that version could not be applied."""
    database: str = ""
    """The `[databases.NAME]` that it belongs to; empty for all."""
    entry: str = ""
    """Where it stands, for messages: `tidelock.toml: critical[2]`."""
    project: str = ""
    """The directory of tidelock.toml, which `fallback` must not leave."""


@record(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at the database found of one."""

    there: bool
    missing_columns: tuple[str, ...] = ()
    fell_back: bool = False
    """The journal says that a fallback made it."""

    @property
    def whole(self) -> bool:
        """The table and the columns are there."""
        return self.there and not self.missing_columns


class Footing(StrEnum):
    """What a critical table stands on."""

    MIGRATION = "migration"
    FALLBACK = "fallback"
    """The application can start; the migration that creates the table is not applied."""
    MISSING = "missing"


@record(frozen=True, slots=True, kw_only=True)
class Standing:
    """One critical table at the end of a run."""

    critical: Critical
    footing: Footing
    why: str = ""
    """For MISSING: what is missing, and why there is no fallback for it."""
    made_now: bool = False
    """This run has made it."""

    @property
    def told(self) -> str:
        """In one sentence; empty when it stands on its migration."""
        table, version = self.critical.table, self.critical.migration
        if self.footing is Footing.MISSING:
            return f"{table}: {self.why}"
        if self.footing is Footing.MIGRATION:
            return ""
        return f"{table} stands on its fallback" + (
            f"; version {version} is not applied" if version is not None else ""
        )


def standing(
    critical: Critical,
    seen: Seen,
    applied: Container[int],
    *,
    why: str = "",
    tried: bool = False,
    made_now: bool = False,
) -> Standing:
    """What a table stands on. One without a `migration` stands on its fallback for good."""
    if not seen.whole:
        columns = ", ".join(seen.missing_columns)
        lacks = f"without {columns}" if seen.there else "not there"
        untried = f"`tidelock apply` makes it from {critical.fallback}" if critical.fallback else "it has no fallback"
        reason = why or ("its fallback did not make it whole" if tried else untried)
        return Standing(critical=critical, footing=Footing.MISSING, why=f"{lacks}; {reason}")
    fallen = seen.fell_back and critical.migration not in applied
    return Standing(
        critical=critical, footing=Footing.FALLBACK if fallen else Footing.MIGRATION, made_now=made_now and fallen
    )
