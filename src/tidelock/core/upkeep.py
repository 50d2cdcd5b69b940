"""Background jobs as people see them: what a policy does, which failed, which were put off and forgotten. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidelock.core.aggregates import COLUMNSTORE, REFRESH, RETENTION
from tidelock.core.check import Flaw
from tidelock.core.durations import parsed, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.aggregates import Job, Stock
    from tidelock.core.quieting import Held

KINDS = {
    REFRESH: "refresh",
    RETENTION: "retention",
    COLUMNSTORE: "columnstore",
    "policy_recompression": "recompression",
    "policy_reorder": "reorder",
}


def jobs(stock: Stock) -> list[Job]:
    """All of them."""
    owned = [*(each.jobs for each in stock.hypertables), *(each.jobs for each in stock.aggregates), stock.jobs]
    return sorted((job for jobs in owned for job in jobs), key=lambda job: job.id)


def kind(job: Job) -> str:
    """`refresh`, `retention`, `columnstore`; of a user's action its procedure."""
    return KINDS.get(job.proc, job.proc)


def does(job: Job) -> str:
    """What a policy does: `from 45 days to 1 hour back, every 1 hour`."""
    words = [reach(job)] if reach(job) else []
    if job.schedule:
        words.append(f"every {written(parsed(job.schedule))}")
    if not job.scheduled:
        words.append("switched off")
    return ", ".join(words)


def reach(job: Job) -> str:
    """The part of it that tells of ages."""
    offsets = {name: written(value) for name, value in job.offsets.items()}
    if job.proc == REFRESH:
        start = offsets.get("start_offset", "the beginning")
        return f"from {start} back" + (f" to {offsets['end_offset']} back" if "end_offset" in offsets else " to now")
    after = offsets.get("drop_after") or offsets.get("compress_after")
    return f"after {after}" if after else ""


def ran(job: Job) -> str:
    """When it last succeeded."""
    if job.running:
        return "running now"
    if job.last_finish:
        return f"last {job.last_finish.astimezone(UTC):%Y-%m-%d %H:%M}"
    return "never succeeded" if job.failures else "has not run yet"


def named(job: Job) -> str:
    """`job 1001 (retention of public.r)`."""
    return f"job {job.id} ({kind(job)}{f' of {job.on}' if job.on else ''})"


def failed(stock: Stock) -> list[Flaw]:
    """Those whose last run failed."""
    return [failure(job) for job in jobs(stock) if job.scheduled and job.last_status == "Failed"]


def failure(job: Job) -> Flaw:
    """What happened, as far as this role may know."""
    times = f"{job.failures} time{'' if job.failures == 1 else 's'} in all"
    error = " ".join(job.error.split()) or "this role may not read why: it belongs to another"
    return Flaw(
        what=f"the last run of {named(job)} failed, {times}: {error}",
        mend=f"mend the cause, then: CALL run_job({job.id});",
    )


def forgotten(stock: Stock, held: Mapping[int, Held]) -> list[Flaw]:
    """Those that a run has put off and not put back: the next start is still the one that it gave them."""
    now = datetime.fromtimestamp(stock.now / 1_000_000, UTC)
    return [
        Flaw(
            what=f"{named(job)} was put off by a run that has not put it back: it starts at "
            f"{job.next_start.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            mend=restart(job, held[job.id], now),
        )
        for job in jobs(stock)
        if job.id in held and job.next_start is not None and held[job.id].is_ours(job.next_start)
    ]


def restart(job: Job, held: Held, now: datetime) -> str:
    """SQL that gives it the start that it had, or one now when that has gone by."""
    late = held.was is None or held.was <= now
    start = "now()" if late or held.was is None else f"'{held.was.isoformat()}'"
    zone = ", timezone => '{}'".format(job.timezone.replace("'", "''")) if job.timezone else ""
    return f"SELECT alter_job({job.id}, next_start => {start}{zone}); -- unless a run is at work"
