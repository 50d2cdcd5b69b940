"""What policies of a live database are about to erase: a refresh that reaches over buckets whose rows are gone, and a
retention of the aggregate itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import INTEGERS, REFRESH, RETENTION, Span
from tidelock.core.threats import OPEN, Bound
from tidelock.timescale import history, windows
from tidelock.timescale.thinning import EVER, changed

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.aggregates import Aggregate, History

    Connection = psycopg.Connection[Any]


def at_risk(conn: Connection, aggregate: Aggregate) -> tuple[tuple[int, History], ...]:
    """(refresh job, what its next run erases): TimescaleDB computes anew what it has noted as changed."""
    found = []
    for job in aggregate.jobs:
        if job.proc != REFRESH or not job.scheduled or aggregate.materialized is None:
            continue
        start = job.config.get("start_offset")
        window = reach(conn, aggregate, Bound(str(start), age=True) if start is not None else OPEN)
        if window is None or not (spans := changed(conn, aggregate, window, since=EVER)):
            continue
        hull = Span(start=spans[0].start, end=spans[-1].end, kind=aggregate.kind)
        if (lost := history.of(conn, aggregate, within=hull)) is not None:
            found.append((job.id, lost))
    return tuple(found)


def expiring(conn: Connection, aggregate: Aggregate) -> tuple[str, History] | None:
    """(its age, what goes): what the aggregate's own retention drops at its next run, and exists nowhere else."""
    job = next((each for each in aggregate.jobs if each.proc == RETENTION and each.scheduled), None)
    kept = str(job.config.get("drop_after") or "") if job else ""
    lost = older(conn, aggregate, Bound(kept)) if kept else None
    return (kept, lost) if lost else None


def older(conn: Connection, aggregate: Aggregate, kept: Bound) -> History | None:
    """What is older than it is kept, and exists nowhere else. None over integers: what is now, their function knows."""
    end = windows.value(conn, Bound(kept.value, age=True), aggregate.kind) if aggregate.kind not in INTEGERS else None
    if end is None or aggregate.materialized is None:
        return None
    return history.of(conn, aggregate, within=Span(start=windows.FIRST, end=end, kind=aggregate.kind))


def reach(conn: Connection, aggregate: Aggregate, start: Bound) -> Span | None:
    """The window of a refresh policy, as far as rows are; None when it cannot be said (an age over integers)."""
    if aggregate.materialized is None:
        return None
    low = windows.value(conn, start, aggregate.kind)
    if low is None and start.value:
        return None
    return Span(start=aggregate.materialized.start if low is None else low, end=aggregate.materialized.end,
                kind=aggregate.kind)  # fmt: skip
