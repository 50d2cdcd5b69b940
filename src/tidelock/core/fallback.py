"""What a fallback script may hold: only what stands in one plain transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.statement import Kind
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.statement import Script, Statement


class FallbackUnfit(SourceFault):
    """A fallback script that cannot run in one transaction as it stands."""

    code = "S014"

    def __init__(self, statement: Statement, why: str) -> None:
        super().__init__(
            f"{statement.place}: a fallback runs as one transaction, and {why}",
            hint="write plain CREATE … IF NOT EXISTS statements into it; `tidelock new --critical TABLE` makes one",
        )


def unfit(script: Script) -> Iterator[FallbackUnfit]:
    """Why a script is none, statement by statement."""
    for each in script.statements:
        if each.facts.alone:
            yield FallbackUnfit(each, each.facts.alone)
        elif each.facts.kind in (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.TWO_PHASE):
            yield FallbackUnfit(each, "it controls the transaction by itself")
        elif each.runtime or each.copy_data is not None:
            yield FallbackUnfit(each, "this is decided at run time, or brings data")
