"""Refresh policies that erase history: they go back further than their source is kept. Pure.

A refresh computes its whole window anew. Where retention has dropped the rows, it finds none, and the buckets go: one
after the other, day by day, without an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tidelock.core.aggregates import INTEGERS, REFRESH, RETENTION, Interval
from tidelock.core.check import Flaw
from tidelock.core.durations import longest, minus, parsed, shortest, times, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.aggregates import Aggregate, History, Job, Stock

    Offset = Interval | int

HOUR = 3_600_000_000
"""In microseconds."""
BUCKETS = 2
"""That the window of a refresh policy has to hold, at least."""


def flaws(stock: Stock) -> list[Flaw]:
    """All of them in a database, each with the SQL that stops it."""
    return [flaw for each in stock.aggregates for _, flaw in of(stock, each)]


def of(stock: Stock, aggregate: Aggregate) -> Iterator[tuple[Job, Flaw]]:
    """Those of one aggregate; it may have several policies."""
    risks = dict(aggregate.at_risk)
    for job in aggregate.jobs:
        if erodes(aggregate, job):
            yield job, flaw(stock, aggregate, job)
        elif job.id in risks:
            yield job, imminent(stock, aggregate, job, risks[job.id])


def imminent(stock: Stock, aggregate: Aggregate, job: Job, lost: History) -> Flaw:
    """That of a policy whose window reaches over rows that are gone without one of retention."""
    what = (
        f"{aggregate.name}: the next refresh (job {job.id}) erases {lost.buckets:,} bucket"
        f"{'' if lost.buckets == 1 else 's'} from {lost.span} that exist nowhere else: it goes back "
        f"{reaching(job)}, and {source(aggregate)} has no rows there"
    )
    since = Interval(us=(stock.now - lost.span.end) // HOUR * HOUR)
    if aggregate.kind not in INTEGERS and fits(aggregate, job, since):
        return Flaw(what=what, mend=altered(job, "start_offset", since))
    return Flaw(what=what, mend=f"SELECT alter_job({job.id}, scheduled => false);")


def reaching(job: Job) -> str:
    """How far back a refresh policy goes."""
    start = job.offsets.get("start_offset")
    return "to the beginning" if start is None else age(start)


def flaw(stock: Stock, aggregate: Aggregate, job: Job) -> Flaw:
    """That of one policy."""
    return Flaw(what=told(aggregate, job), mend=mend(stock, aggregate, job))


def erodes(aggregate: Aggregate, job: Job) -> bool:
    """Whether its window reaches behind what retention keeps. The same age is safe: a window is of whole buckets."""
    if job.proc != REFRESH or not job.scheduled or aggregate.retention is None:
        return False
    start = job.offsets.get("start_offset")
    return start is None or longest(minus(start, aggregate.retention)) > 0


def told(aggregate: Aggregate, job: Job) -> str:
    """What it does."""
    assert aggregate.retention is not None
    return (
        f"{aggregate.name}: its refresh (job {job.id}) goes back {reaching(job)}, and {source(aggregate)} keeps "
        f"{age(aggregate.retention)}: each run erases buckets that exist nowhere else"
    )


def age(value: Offset) -> str:
    """`30 days`; over integers the number."""
    return written(value)


def source(aggregate: Aggregate) -> str:
    """Where its rows come from, for people."""
    return aggregate.parent or aggregate.hypertable


def mend(stock: Stock, aggregate: Aggregate, job: Job) -> str:
    """SQL that makes the window begin where retention ends; a longer retention when that leaves too little of it."""
    assert aggregate.retention is not None
    if fits(aggregate, job, aggregate.retention):
        return altered(job, "start_offset", aggregate.retention)
    keeper = keeping(stock, aggregate)
    need = job.offsets.get("start_offset")
    if need is None or not fits(aggregate, job, need):
        need = enough(aggregate, job)
    longer = altered(keeper, "drop_after", need) if keeper else ""
    return (
        f"-- {age(aggregate.retention)} do not hold {BUCKETS} buckets of {aggregate.bucket}: keep raw data longer, "
        f"and refresh no further back\n{longer}\n{altered(job, 'start_offset', need)}"
    )


def fits(aggregate: Aggregate, job: Job, start: Offset) -> bool:
    """Whether a window that begins there holds two buckets, in the shortest of months."""
    end = job.offsets.get("end_offset")
    return end is None or shortest(minus(start, end)) >= BUCKETS * longest(parsed(aggregate.bucket))


def enough(aggregate: Aggregate, job: Job) -> Offset:
    """The least age that does: in whole days, where it is one."""
    width = BUCKETS * longest(parsed(aggregate.bucket))
    end = job.offsets.get("end_offset", 0 if aggregate.kind in ("smallint", "integer", "bigint") else None)
    if isinstance(end, int):
        return end + width
    whole = width + (longest(end) if end else 0)
    days = parsed("1 day")
    return times(days, -(-whole // longest(days)))


def keeping(stock: Stock, aggregate: Aggregate) -> Job | None:
    """The retention job of its source."""
    name = source(aggregate)
    owners = [each.jobs for each in stock.hypertables if each.name == name]
    owners += [each.jobs for each in stock.aggregates if each.name == name]
    return next((job for jobs in owners for job in jobs if job.proc == RETENTION), None)


def altered(job: Job, key: str, value: Offset) -> str:
    """SQL that changes one offset and keeps all else: without it, alter_job would forget the time zone."""
    config = json.dumps({key: value if isinstance(value, int) else written(value)})
    zone = ", timezone => '{}'".format(job.timezone.replace("'", "''")) if job.timezone else ""
    change = f"config => config || '{config}'{zone}"
    return f"SELECT alter_job(job_id, {change}) FROM timescaledb_information.jobs WHERE job_id = {job.id};"  # noqa: S608 - printed
