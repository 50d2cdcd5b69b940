"""What is known of TimescaleDB's objects in a live database: hypertables, continuous aggregates, jobs.

Points in time are TimescaleDB's own numbers: microseconds since 1970 (UTC) for timestamps and dates, the number itself
for a hypertable over integers; `moment` writes one for people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INTEGERS = ("smallint", "integer", "bigint")


def moment(value: int, kind: str) -> str:
    """A point in time for people: `2026-05-27`, `2026-05-27 08:00`; a number for a hypertable over integers."""
    if kind in INTEGERS:
        return str(value)
    try:
        at = EPOCH + timedelta(microseconds=value)
    except OverflowError:  # PostgreSQL's calendar is longer than Python's
        return "infinity" if value > 0 else "-infinity"
    return at.date().isoformat() if at.time() == datetime.min.time() else at.isoformat(" ", "minutes")[:16]


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval as PostgreSQL keeps it: its three parts are not multiples of each other."""

    months: int = 0
    days: int = 0
    us: int = 0
    """Microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start` up to, and without, `end`."""

    start: int
    end: int
    kind: str
    """The type of the time column: timestamptz, timestamp, date, smallint, integer, bigint."""

    def __str__(self) -> str:
        return f"{moment(self.start, self.kind)} to {moment(self.end, self.kind)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A background job: a policy, or a user's action."""

    id: int
    proc: str
    """As in timescaledb_information.jobs: policy_retention, policy_compression, policy_reorder,
    policy_refresh_continuous_aggregate; schema.name for a user's."""
    on: str = ""
    """The hypertable or aggregate, `schema.name`; empty for none."""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    schedule: str = ""
    """The interval between two runs, as the server writes it."""
    scheduled: bool = True
    """False when it is switched off."""
    next_start: datetime | None = None
    last_finish: datetime | None = None
    """Of the last run that succeeded."""
    last_status: str = ""
    """Success, Failed, or empty when it never ran."""
    running: bool = False
    failures: int = 0
    error: str = ""
    """The message of the last failure, when the last run failed; empty also when this role may not read it."""
    offsets: Mapping[str, Interval | int] = field(default_factory=dict, hash=False)
    """Of its config, what is an interval or a number: start_offset, end_offset, drop_after, compress_after."""
    timezone: str = ""
    """That of a fixed schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypertable:
    """A hypertable of a user's."""

    name: str
    """`schema.name`."""
    time: str
    """The column that it is cut by."""
    kind: str
    """Its type, as in Span."""
    chunk_interval: str = ""
    chunks: int = 0
    compressed: int = 0
    """Chunks in the columnstore."""
    span: Span | None = None
    """Of its chunks; None without any."""
    size_bytes: int = 0
    """0 when nobody has looked."""
    columnstore: bool = False
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What an aggregate has and its source can no longer give."""

    buckets: int
    rows: int
    span: Span
    """From the first such bucket to the end of the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A continuous aggregate."""

    name: str
    """`schema.name`."""
    number: int
    """The id of its materialized hypertable: another one after it was recreated."""
    hypertable: str
    """The hypertable at the root, `schema.name`."""
    parent: str = ""
    """The aggregate that it reads, `schema.name`; empty when it reads the hypertable itself."""
    bucket: str = ""
    """The width of a bucket, as the server writes it: 01:00:00, 1 day, 1 mon; a number over integers."""
    fixed: bool = True
    """Each bucket is as long as the others: no months, no time zone."""
    timezone: str = ""
    column: str = ""
    """The column of the bucket."""
    kind: str = "timestamptz"
    """Its type, as in Span."""
    relation: str = ""
    """Where its rows are: `_timescaledb_internal._materialized_hypertable_5`."""
    source: str = ""
    """Where the rows are that it reads: `schema.name` of the hypertable, or of the parent's rows."""
    source_time: str = ""
    """The time column there."""
    source_kind: str = ""
    """Its type: that of the bucket, or uuid (version 7, with the time in it)."""
    direct: str = ""
    """The view that computes it from its source, `_timescaledb_internal._direct_view_5`."""
    real_time: bool = False
    """Reads what is not materialized from the source."""
    columnstore: bool = False
    materialized: Span | None = None
    """From its first bucket to the end of its last one; None when it is empty."""
    raw: Span | None = None
    """Of the rows of its source; None when there are none."""
    doubtful: int | None = None
    """Chunks of its source that end by this point may have been dropped by retention, and have come back."""
    history: History | None = None
    """What exists nowhere else; None when nothing does, or when nobody has looked."""
    at_risk: tuple[tuple[int, History], ...] = ()
    """(refresh job, what its next run erases of that); empty also when nobody has looked."""
    size_bytes: int = 0
    """0 when nobody has looked."""
    jobs: tuple[Job, ...] = ()
    unread: tuple[str, ...] = ()
    """Relations that this role may not read; what is known only from them is None."""
    chunks: tuple[tuple[int, int], ...] = ()
    """From where to where each chunk of its source reaches, in order; without those that are the same."""
    retention: Interval | int | None = None
    """The age at which rows of its source are dropped by a policy that is switched on."""

    def job(self, proc: str) -> Job | None:
        """Its first job of this kind."""
        return next((each for each in self.jobs if each.proc == proc), None)


REFRESH, RETENTION, COLUMNSTORE = "policy_refresh_continuous_aggregate", "policy_retention", "policy_compression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """All of them in one database."""

    version: str
    """Of the extension."""
    community: bool
    """False for the Apache edition: no aggregates, no policies, no columnstore."""
    hypertables: tuple[Hypertable, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    """A parent before those that read it."""
    jobs: tuple[Job, ...] = ()
    """Those of no hypertable and no aggregate."""
    now: int = 0
    """The server's clock when this was taken, in microseconds since 1970."""

    @property
    def release(self) -> tuple[int, ...]:
        """(2, 28) of 2.28.3."""
        return tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit())

    def aggregate(self, name: str) -> Aggregate | None:
        """The one of that name, `schema.name`."""
        return next((each for each in self.aggregates if each.name == name), None)

    def above(self, aggregate: Aggregate) -> tuple[Aggregate, ...]:
        """Those that read it, directly or through others, nearest first."""
        found: list[Aggregate] = []
        for each in self.aggregates:
            if each.parent == aggregate.name or any(each.parent == other.name for other in found):
                found.append(each)
        return tuple(found)
