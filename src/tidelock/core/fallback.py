"""What a fallback script may hold: only what stands in one plain transaction, and takes nothing away.

It runs when something has failed already, and nothing guards what is there: no backup precedes it, and no aggregate's
history is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.danger import danger
from tidelock.core.made import Made
from tidelock.core.statement import Kind
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.statement import Script, Statement


class FallbackUnfit(SourceFault):
    """A fallback script that cannot run in one transaction as it stands, or takes something away."""

    code = "S014"

    def __init__(self, statement: Statement, why: str) -> None:
        super().__init__(
            f"{statement.place}: {why}",
            hint="write plain CREATE … IF NOT EXISTS statements into it; `tidelock new --critical TABLE` makes one",
        )


def unfit(script: Script) -> Iterator[FallbackUnfit]:
    """Why a script is none, statement by statement."""
    made = Made()
    for each in script.statements:
        facts = each.facts
        if facts.alone:
            yield FallbackUnfit(each, f"{WHOLE}, and {facts.alone}")
        elif facts.kind in (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.TWO_PHASE):
            yield FallbackUnfit(each, f"{WHOLE}, and it controls the transaction by itself")
        elif each.runtime or each.copy_data is not None:
            yield FallbackUnfit(each, f"{WHOLE}, and this is decided at run time, or brings data")
        elif taken := next(danger(each, made), None):
            yield FallbackUnfit(each, f"{ADDS}; here: {taken.why}")
        elif facts.cascade:
            yield FallbackUnfit(each, f"{ADDS}; here: CASCADE, and nobody knows what goes with it")
        made.learn(each)


WHOLE = "a fallback runs as one transaction"
ADDS = "a fallback only adds what is missing"
