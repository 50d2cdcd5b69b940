"""Locking (LK): what keeps readers or writers waiting, for how long, and how to do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import Look


@rule(
    "LK001",
    "an index build blocks writes",
    Severity.ERROR,
    why="CREATE INDEX holds a Share lock on the table until it is built: readers go on, every write waits.",
    fix="build it CONCURRENTLY",
)
def index_blocks_writes(look: Look) -> Iterator[Remark]:
    """CREATE INDEX on a table that others may be using."""
    for each in look.actions("create index"):
        table = look.known.table(each.table)
        if (
            "concurrently" in each.flags
            or look.is_new(each.table)
            or look.known.is_hypertable(each.table)  # TS: CONCURRENTLY is refused there
            or look.known.is_aggregate(each.table)
            or (table and table.partitioned)
        ):
            continue
        edit = replace_first(look.text, r"\bINDEX\b", "INDEX CONCURRENTLY")
        yield Remark(
            message=f"writes to {each.table} wait until the index is built",
            rewrite=rewritten(look.text, edit) if edit else "",
        )
