"""What a refresh did, in a line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.windows import amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.aggregates import Span
    from tidelock.timescale.refreshing import Outcome
    from tidelock.timescale.rows import Copy


def outcome_line(done: Outcome) -> str:
    """`energy_hourly refreshed: 60 days in 13 windows, 2 at a time, 3.6 s`."""
    name = done.aggregate.removeprefix("public.")
    if done.span is None:
        return f"{name}: nothing to refresh, its source has no rows there" if not done.stopped else f"{name}: stopped"
    long = amount(done.span.end - done.span.start, done.span.kind)
    windows = f"{done.windows} window" + ("" if done.windows == 1 else "s")
    many = f", {done.parallel} at a time" if done.parallel > 1 else ""
    return f"{name} refreshed: {long} ({done.span}) in {windows}{many}, {done.took_s:.1f} s"


def kept_line(done: Outcome) -> str:
    """What was left as it is, and why."""
    name = done.aggregate.removeprefix("public.")
    buckets = f"{done.kept:,} bucket" + ("" if done.kept == 1 else "s")
    return (
        f"{name}: {buckets} from {done.kept_span} left as they are: the raw data no longer holds them (whole); to let "
        f"them go, `-- tidelock: accept-loss {name}: why` in a migration with the CALL"
    )


def rebuilt_line(copy: Copy, span: Span | None, width: str, back: Sequence[str]) -> str:
    """What became of an aggregate that was made anew."""
    name = copy.name.removeprefix("public.")
    words = [f"{name} rebuilt: {copy.rows:,} rows kept" + (f" ({span})" if span else "")]
    if width:
        words.append(f"buckets that raw data cannot fill stay {width} wide")
    if copy.wider:
        words.append(f"kept in a wider type: {', '.join(copy.wider)}")
    if copy.empty:
        words.append(f"NULL in what raw data cannot fill: {', '.join(copy.empty)}")
    if copy.gone:
        words.append(f"gone with what they held: {', '.join(copy.gone)}")
    if back:
        words.append(f"back: {', '.join(back)}")
    return "; ".join(words)
