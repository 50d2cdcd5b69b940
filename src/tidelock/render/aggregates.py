"""Continuous aggregates and hypertables as text and as data. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.core import erosion, upkeep
from tidelock.core.aggregates import REFRESH, moment
from tidelock.core.durations import parsed, written
from tidelock.render.json import SCHEMA
from tidelock.render.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.aggregates import Aggregate, Hypertable, Job, Span, Stock
    from tidelock.core.check import Flaw


def headline(target: str, stock: Stock) -> str:
    """Which database, which TimescaleDB, how many."""
    if not stock.version:
        return f"{target}  the extension timescaledb is not in this database: no hypertables, no aggregates"
    words = f"{target}  TimescaleDB {stock.version}"
    if not stock.community:
        words += ", Apache edition: no aggregates, no policies"
    return f"{words}  {counted(len(stock.aggregates), 'aggregate')}, {counted(len(stock.hypertables), 'hypertable')}"


def counted(count: int, what: str) -> str:
    """`1 aggregate`, `3,538 buckets`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def text(target: str, stock: Stock) -> str:
    """A paragraph for each."""
    parts = [[headline(target, stock)]]
    parts += [list(aggregate(stock, each)) for each in stock.aggregates]
    parts += [list(hypertable(each)) for each in stock.hypertables]
    parts += [[*job_lines(stock.jobs, "other jobs")]] if stock.jobs else []
    return "\n\n".join("\n".join(lines) for lines in parts)


def aggregate(stock: Stock, found: Aggregate) -> Iterator[str]:
    """One aggregate."""
    yield f"{short(found.name)}  {' · '.join(traits(found))}"
    yield line("materialized", span(found.materialized, found.relation in found.unread))
    yield line("raw data", span(found.raw, found.source in found.unread))
    yield line("only here", only_here(found))
    yield from job_lines(found.jobs)
    if found.unread:
        yield line("not known", f"{unreadable(stock)} {', '.join(found.unread)}")
    yield from flaws(faults(stock, found))


def unreadable(stock: Stock) -> str:
    """Why something is not known."""
    return "this role may not read" if stock.community else "the Apache edition may not read"


def traits(found: Aggregate) -> list[str]:
    """Where it comes from and how it is kept."""
    bucket = f"bucket {bucket_of(found)}" + (f" in {found.timezone}" if found.timezone else "")
    words = [f"from {source(found)}", bucket, "real-time" if found.real_time else "materialized only"]
    words += ["columnstore"] if found.columnstore else []
    return words + ([size(found.size_bytes)] if found.size_bytes else [])


def source(found: Aggregate) -> str:
    """`energy_hourly (of energy_consumption)` for one that reads another."""
    return f"{short(found.parent)} (of {short(found.hypertable)})" if found.parent else short(found.hypertable)


def bucket_of(found: Aggregate) -> str:
    """`1 hour`."""
    return interval(found.bucket) if found.bucket else "?"


def interval(text: str) -> str:
    """One of the server's, for people."""
    return written(parsed(text))


def hypertable(found: Hypertable) -> Iterator[str]:
    """One hypertable."""
    chunks = counted(found.chunks, "chunk") + (f" of {interval(found.chunk_interval)}" if found.chunk_interval else "")
    words = [f"hypertable by {found.time}", chunks]
    words += [f"{found.compressed:,} compressed"] if found.compressed or found.columnstore else []
    words += [size(found.size_bytes)] if found.size_bytes else []
    yield f"{short(found.name)}  {' · '.join(words)}"
    yield line("chunks", span(found.span))
    yield from job_lines(found.jobs)
    yield from flaws(failures(found.jobs))


def job_lines(jobs: Sequence[Job], title: str = "") -> Iterator[str]:
    """A line for each policy, with its last run."""
    for each in jobs:
        words = [f"{upkeep.kind(each)} " if title else "", upkeep.does(each), f"; {upkeep.ran(each)}"]
        if each.failures:
            words.append(f", {counted(each.failures, 'failure')} in all")
        yield line(title or upkeep.kind(each), f"{''.join(words)} (job {each.id})")


def faults(stock: Stock, found: Aggregate) -> list[Flaw]:
    """What is wrong with it."""
    return [*(flaw for _, flaw in erosion.of(stock, found)), *failures(found.jobs)]


def failures(jobs: Sequence[Job]) -> list[Flaw]:
    """Of its jobs those whose last run failed."""
    return [upkeep.failure(each) for each in jobs if each.scheduled and each.last_status == "Failed"]


def flaws(found: Sequence[Flaw]) -> Iterator[str]:
    """What is wrong, and what mends it."""
    for each in found:
        yield f"  ✗ {each.what}"
        yield from (f"    {part}" for part in each.mend.splitlines())


def line(title: str, words: str) -> str:
    """One fact."""
    return f"  {title:<13} {words}"


def short(name: str) -> str:
    """Without the schema that everyone has."""
    return name.removeprefix("public.")


def span(found: Span | None, unread: bool = False) -> str:
    """From where to where."""
    return str(found) if found else "not known" if unread else "none"


def only_here(found: Aggregate) -> str:
    """What exists nowhere else."""
    if found.relation in found.unread:
        return "not known"
    if found.history is None:
        return "nothing"
    words = f"{counted(found.history.buckets, 'bucket')}, {counted(found.history.rows, 'row')}, {found.history.span}"
    return f"{words}; at most: its source is not readable" if found.unread else words


def rows(stock: Stock) -> Iterator[tuple[str, ...]]:
    """A row for each aggregate: its name, from, bucket, materialized, raw data since, only here, refresh, size."""
    for each in stock.aggregates:
        raw = moment(each.raw.start, each.raw.kind) if each.raw else span(None, each.source in each.unread)
        refresh = "\n".join(f"{upkeep.does(job)}; {upkeep.ran(job)}" for job in each.jobs if job.proc == REFRESH)
        yield (
            short(each.name),
            source(each),
            bucket_of(each),
            span(each.materialized, each.relation in each.unread),
            raw,
            only_here(each),
            refresh or "by hand",
            size(each.size_bytes),
        )


def hypertable_rows(stock: Stock) -> Iterator[tuple[str, ...]]:
    """A row for each hypertable: name, chunks, compressed, span, policies, size."""
    for each in stock.hypertables:
        jobs = "\n".join(f"{upkeep.kind(job)} {upkeep.does(job)}; {upkeep.ran(job)}" for job in each.jobs)
        yield (
            short(each.name),
            f"{each.chunks:,} of {interval(each.chunk_interval)}",
            f"{each.compressed:,}" if each.columnstore or each.compressed else "",
            span(each.span),
            jobs,
            size(each.size_bytes),
        )


def wrong(stock: Stock) -> list[str]:
    """What is to be told beneath the tables."""
    found: list[Flaw] = [flaw for each in stock.aggregates for flaw in faults(stock, each)]
    found += [flaw for each in stock.hypertables for flaw in failures(each.jobs)] + failures(stock.jobs)
    unread = [f"  {unreadable(stock)} {each}" for agg in stock.aggregates for each in agg.unread]
    return [*flaws(found), *dict.fromkeys(unread)]


def data(target: str, stock: Stock) -> dict[str, Any]:
    """The same for machines (docs/schema/aggregates-list.schema.json)."""
    return {
        "schema": SCHEMA,
        "command": "aggregates list",
        "target": target,
        "timescaledb": stock.version or None,
        "community": stock.community,
        "aggregates": [aggregate_data(stock, each) for each in stock.aggregates],
        "hypertables": [hypertable_data(each) for each in stock.hypertables],
        "jobs": [job_data(each) for each in stock.jobs],
    }


def aggregate_data(stock: Stock, found: Aggregate) -> dict[str, Any]:
    """One aggregate."""
    only = found.history
    return {
        "name": found.name,
        "hypertable": found.hypertable,
        "parent": found.parent or None,
        "bucket": found.bucket or None,
        "timezone": found.timezone or None,
        "real_time": found.real_time,
        "columnstore": found.columnstore,
        "materialized": span_data(found.materialized),
        "raw": span_data(found.raw),
        "only_here": {"buckets": only.buckets, "rows": only.rows, **(span_data(only.span) or {})} if only else None,
        "size_bytes": found.size_bytes,
        "jobs": [job_data(each) for each in found.jobs],
        "not_readable": list(found.unread),
        "flaws": [flaw_data(each) for each in faults(stock, found)],
    }


def hypertable_data(found: Hypertable) -> dict[str, Any]:
    """One hypertable."""
    return {
        "name": found.name,
        "time": found.time,
        "chunk_interval": found.chunk_interval or None,
        "chunks": found.chunks,
        "compressed": found.compressed,
        "columnstore": found.columnstore,
        "span": span_data(found.span),
        "size_bytes": found.size_bytes,
        "jobs": [job_data(each) for each in found.jobs],
        "flaws": [flaw_data(each) for each in failures(found.jobs)],
    }


def job_data(found: Job) -> dict[str, Any]:
    """One job."""
    return {
        "id": found.id,
        "kind": upkeep.kind(found),
        "procedure": found.proc,
        "config": dict(found.config),
        "every": found.schedule,
        "scheduled": found.scheduled,
        "running": found.running,
        "next_start": at(found.next_start),
        "last_success": at(found.last_finish),
        "last_status": found.last_status or None,
        "failures": found.failures,
        "error": found.error or None,
    }


def flaw_data(found: Flaw) -> dict[str, Any]:
    """What is wrong, and what mends it."""
    return {"what": found.what, "mend": found.mend}


def span_data(found: Span | None) -> dict[str, str] | None:
    """Both ends; the second one is not part of it."""
    if found is None:
        return None
    return {"from": moment(found.start, found.kind), "to": moment(found.end, found.kind)}


def at(found: datetime | None) -> str | None:
    """A moment, in UTC."""
    return found.astimezone(UTC).isoformat() if found else None
