"""What background jobs of a plan take: one that is run by hand, and policies whose ages do not fit each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import REFRESH, RETENTION, Span
from tidelock.core.threats import OPEN, Bound, How, Threat
from tidelock.timescale import eroding, history, windows

if TYPE_CHECKING:
    from tidelock.core.aggregates import Aggregate, Job
    from tidelock.core.step import Mode
    from tidelock.timescale.losses import Reckoning


def run_by_hand(reckoning: Reckoning, threat: Threat, mode: Mode) -> None:
    """CALL run_job: what the job does, when it is TimescaleDB's own."""
    on, job = job_of(reckoning, threat.what.name)
    if job is None or not job.proc.startswith("policy_"):
        reckoning.unseen(mode)
    elif isinstance(on, str):
        if job.proc == RETENTION:
            reckoning.uprooted[on] = None
    elif job.proc == REFRESH:
        start = ago(job.config.get("start_offset"))
        reckoning.refresh(on, Threat(how=How.REFRESH, start=start), job.id)
    elif job.proc == RETENTION:
        within = windows.span(reckoning.conn, OPEN, ago(job.config.get("drop_after")), on.kind)
        reckoning.lose(on, reckoning.history(on, within=within), why=f"job {job.id} drops them")


def job_of(reckoning: Reckoning, number: str) -> tuple[Aggregate | str, Job | None]:
    """A background job, and what it is for."""
    for aggregate in reckoning.stock.aggregates:
        for each in aggregate.jobs:
            if str(each.id) == number:
                return aggregate, each
    for table in reckoning.stock.hypertables:
        for each in table.jobs:
            if str(each.id) == number:
                return table.name, each
    return "", next((each for each in reckoning.stock.jobs if str(each.id) == number), None)


def policy(reckoning: Reckoning, threat: Threat) -> None:
    """A refresh policy that reaches further back than raw rows are kept, found at whichever comes second."""
    if threat.how is How.REFRESH_POLICY:
        for each in reckoning.meant(threat.what):
            if not (threat.guarded and each.job(REFRESH)):
                erode(reckoning, each, threat.start, kept_for(reckoning, each))
        return
    found = reckoning.names.relations(threat.what)
    if threat.guarded:  # where one is there already, this one is passed over
        found -= {name for name in found if retention(reckoning, name)}
    for name in found:
        reckoning.retention[name] = threat.start
    for each in reckoning.stock.aggregates:
        if each.name in found - reckoning.gone:
            expire(reckoning, each, threat.start)
    for each in reckoning.stock.aggregates:
        job = each.job(REFRESH)
        if job and (each.parent or each.hypertable) in found and each.name not in reckoning.gone:
            erode(reckoning, each, Bound(str(job.config.get("start_offset") or "")), threat.start)


def expire(reckoning: Reckoning, aggregate: Aggregate, kept: Bound) -> None:
    """A retention policy on the aggregate itself drops what is older as soon as its job runs."""
    found = eroding.older(reckoning.conn, aggregate, kept)
    reckoning.lose(aggregate, found, why=f"a policy that keeps {kept.value} drops them")


def kept_for(reckoning: Reckoning, aggregate: Aggregate) -> Bound | None:
    """How long what an aggregate reads is kept, by a policy that is there or one of the plan."""
    source = aggregate.parent or aggregate.hypertable
    if source in reckoning.retention:
        return reckoning.retention[source]
    found = retention(reckoning, source)
    return Bound(str(found.config.get("drop_after") or "")) if found else None


def retention(reckoning: Reckoning, name: str) -> Job | None:
    """The retention policy that a hypertable or aggregate has."""
    jobs = [each.jobs for each in reckoning.stock.hypertables if each.name == name]
    jobs += [each.jobs for each in reckoning.stock.aggregates if each.name == name]
    return next((job for each in jobs for job in each if job.proc == RETENTION), None)


def erode(reckoning: Reckoning, aggregate: Aggregate, start: Bound, kept: Bound | None) -> None:
    """What the policy erases sooner or later: buckets older than what is kept, as far as it reaches."""
    start = Bound(start.value, age=True)
    if kept is None or not kept.value:
        if (window := eroding.reach(reckoning.conn, aggregate, start)) is not None:
            found = reckoning.history(aggregate, within=window)
            reckoning.lose(aggregate, found, why=f"its policy refreshes {reach(start)}, and raw rows are gone there")
        return
    end = windows.value(reckoning.conn, Bound(kept.value, age=True), aggregate.kind)
    if end is None:
        return
    low = windows.value(reckoning.conn, start, aggregate.kind)
    if low is not None and low >= end:
        return
    within = windows.span(reckoning.conn, start, OPEN, aggregate.kind)
    within = replace(within, end=end) if within else Span(start=windows.FIRST, end=end, kind=aggregate.kind)
    why = f"its policy refreshes {reach(start)}, and {kept.value} of raw rows are kept"
    reckoning.lose(aggregate, history.of(reckoning.conn, aggregate, within=within, rootless=True), why=why)


def uprooted(reckoning: Reckoning, source: str) -> None:
    """Rows go from a source, and a policy refreshes what was made of them: from nothing."""
    for each in reckoning.stock.aggregates:
        job = each.job(REFRESH) if (each.parent or each.hypertable) == source else None
        if job is None or not job.scheduled or each.name in reckoning.gone:
            continue
        start = ago(job.config.get("start_offset"))
        window = eroding.reach(reckoning.conn, each, start)
        within = both(window, reckoning.uprooted[source])
        if window is not None and within is not None and within.start < within.end:
            found = history.of(reckoning.conn, each, within=within, rootless=True)
            reckoning.lose(each, found, why=f"job {job.id} refreshes {reach(start)}, and would erase them")


def both(one: Span | None, other: Span | None) -> Span | None:
    """What lies in both; None is everything."""
    if one is None or other is None:
        return one or other
    return replace(one, start=max(one.start, other.start), end=min(one.end, other.end))


def reach(start: Bound) -> str:
    """How far back a refresh policy goes."""
    return f"the last {start.value}" if start.value else "all of it"


def ago(value: Any) -> Bound:
    """A policy's offset, which counts from now."""
    return Bound(str(value), age=True) if value is not None else OPEN
