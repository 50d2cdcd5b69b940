"""Refreshing continuous aggregates: what a refresh erases, what it cannot do, what it leaves out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.known import key, target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.interval import length, written
from tidelock.core.lint.timescale.sight import (
    bucket,
    drop_after,
    in_block,
    kept,
    lost,
    named_loss,
    retention,
    start_offset,
)
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look


@rule(
    "TS048",
    "a refresh of what is gone erases it",
    Severity.ERROR,
    why="refresh_continuous_aggregate computes its window anew. Where raw rows have been dropped it computes "
    "nothing and deletes the buckets: refresh(NULL, NULL) after retention took an aggregate from 2,160 rows to "
    "744, without a warning.",
    fix="start where raw data starts: now() - INTERVAL 'drop_after'",
)
def refreshes_gone(look: Look) -> Iterator[Remark]:
    """CALL refresh_continuous_aggregate from before the raw data."""
    for each in look.calls("refresh_continuous_aggregate"):
        aggregate = look.known.aggregates.get(target(each))
        if aggregate is None or named_loss(look, aggregate.name) or not (what := lost(look, aggregate)):
            continue
        after = drop_after(retention(look.known, aggregate.source, former=True))
        start = _start(each)
        if start is None or (start != float("inf") and (after is None or start <= after)):
            continue
        safe = f"now() - INTERVAL '{written(after)}'" if after is not None else ""
        edit = replace_first(look.text, r"\bNULL\b", safe) if safe and _first_null_is_start(each) else None
        yield Remark(
            message=f"it starts {'at the beginning' if start == float('inf') else written(start) + ' ago'}, and {what}",
            rewrite=rewritten(look.text, edit) if edit and not in_block(look) else "",
            edit=edit if edit and not in_block(look) else None,
        )


def _start(call: Action) -> float | None:
    """How long ago a refresh starts: infinity for NULL; None for a date, which no file can be compared with."""
    if any(each in call.names for each in ("window_start", "1")):
        return float("inf")
    return length(call.options.get("window_start", call.options.get("1", "")))


def _first_null_is_start(call: Action) -> bool:
    return call.names[:1] in (("1",), ("window_start",))


@rule(
    "TS049",
    "raw rows go from under an aggregate",
    Severity.WARNING,
    why="drop_chunks, DELETE and TRUNCATE on a hypertable mark their range as changed. The next refresh that reaches "
    "there deletes the buckets: after TRUNCATE and refresh(NULL, NULL) an aggregate of 739 rows had none.",
    fix="keep start_offset of the refresh policy, and every refresh by hand, within what raw data is left",
)
def from_under(look: Look) -> Iterator[str]:
    """drop_chunks, TRUNCATE or DELETE on what an aggregate reads."""
    for each in look.actions("truncate", "delete"):
        yield from _under(look, each.table, each.what.upper())
    for each in look.calls("drop_chunks"):
        yield from _under(look, target(each), "drop_chunks", _older_than(each))


def _older_than(call: Action) -> float | None:
    return length(call.arguments.get("older_than", call.arguments.get("1")))


def _under(look: Look, source: str, what: str, older: float | None = None) -> Iterator[str]:
    for each in look.known.aggregates.values():
        if each.source != key(source) or named_loss(look, each.name):
            continue
        starts = [start_offset(one) for one in look.known.refreshes.get(each.name, [])]
        if older is not None and starts and all(start is not None and start <= older for start in starts):
            continue
        reach = max((start for start in starts if start is not None), default=None)
        told = f", which its policy does {kept(reach)} back" if reach else ""
        yield (
            f"after {what} on {source} each refresh that reaches those rows{told} deletes their buckets in {each.name}"
        )


@rule(
    "TS050",
    "an aggregate's new column is NULL in its old buckets",
    Severity.NOTE,
    why="ALTER MATERIALIZED VIEW … ADD COLUMN … GENERATED ALWAYS AS (…) STORED is instant: buckets that are there keep "
    "NULL, and a plain refresh finds them up to date. Only refresh_continuous_aggregate(…, force => true) fills them, "
    "where raw data still is.",
    fix="follow it with a refresh(…, force => true) from where raw data starts",
)
def new_column(look: Look) -> Iterator[Remark]:
    """ADD COLUMN … GENERATED on an aggregate without a forced refresh after it."""
    for each in look.actions("add column"):
        aggregate = look.known.aggregates.get(key(each.table))
        stored = each.column is not None and each.column.generated == "stored"
        if not aggregate or not stored or look.is_new(each.table) or _forced(look, aggregate.name):
            continue
        after = drop_after(retention(look.known, aggregate.source))
        start = f"now() - INTERVAL '{written(after)}'" if after is not None else "now() - INTERVAL '…'"
        yield Remark(
            message=f"{each.name} is NULL in every bucket that {aggregate.name} has",
            hint=f"in a file after it: CALL refresh_continuous_aggregate('{aggregate.name}', {start}, now(), force "
            "=> true)",
        )


def _forced(look: Look, name: str) -> bool:
    return any(
        call.name.endswith("refresh_continuous_aggregate") and target(call) == name and call.arguments.get("force")
        for each in look.file.statements[look.number + 1 :]
        for call in each.facts.actions
        if call.what == "call"
    )


@rule(
    "TS051",
    "a refresh of less than a bucket",
    Severity.ERROR,
    why="The window of refresh_continuous_aggregate is cut to whole buckets; with less than one left it is "
    "refused: 22023 `refresh window too small`. Between one bucket and two it depends on the minute.",
    fix="refresh at least two buckets",
)
def less_than_a_bucket(look: Look) -> Iterator[str]:
    """now() - interval … now() shorter than two buckets."""
    for each in look.calls("refresh_continuous_aggregate"):
        start, end = _start(each), length(each.options.get("window_end", each.options.get("2", "")))
        width = bucket(look.known, target(each))
        if end is None and re.search(r",\s*(?:window_end\s*=>\s*)?now\(\)\s*[,)]", look.text, re.IGNORECASE):
            end = 0.0
        if start is not None and end is not None and width and start - end < 2 * width:
            yield f"{written(start - end)} hold less than two buckets of {written(width)}"
