"""Policies of an aggregate that was made anew: when they run next, and whether they erase what was kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.core.aggregates import REFRESH, Interval
from tidelock.core.quieting import left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tidelock.app.ports import Scene
    from tidelock.core.aggregates import Aggregate, Job
    from tidelock.core.snapshot import Key, Snapshot

    Connection = psycopg.Connection[Any]

JOBS = """
SELECT b.id, format('%I.%I', b.proc_schema, b.proc_name), format('%I.%I', j.hypertable_schema, j.hypertable_name),
       nullif(b.config - 'hypertable_id' - 'mat_hypertable_id', '{}'),
       CASE WHEN isfinite(j.next_start) THEN j.next_start END, b.initial_start, b.timezone, b.fixed_schedule
  FROM _timescaledb_config.bgw_job b JOIN timescaledb_information.jobs j ON j.job_id = b.id
 WHERE b.id >= 1000 ORDER BY b.id"""
SCHEMA = (
    "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'timescaledb'"
)
ALTER = "SELECT {schema}.alter_job({id}, next_start => {next}, initial_start => {initial}, timezone => {timezone})"


@dataclass(frozen=True, slots=True)
class Timed:
    """A job, and when it runs."""

    id: int
    what: tuple[str, str, str]
    """Procedure, relation, configuration."""
    next_start: datetime | None
    initial_start: datetime | None
    timezone: str | None
    fixed: bool


def timed(conn: Connection) -> list[Timed]:
    """All of them."""
    return [
        Timed(number, (proc, on, json.dumps(config, sort_keys=True)), *rest)
        for number, proc, on, config, *rest in conn.execute(JOBS).fetchall()
    ]


def as_before(scene: Scene, found: Iterable[Timed]) -> list[Timed]:
    """The same with the next start that a job had before this run put it off."""
    put_off = left((each for _, _, each in scene.noted("quieted")), (each for _, _, each in scene.noted("unquieted")))
    return [
        Timed(each.id, each.what, put_off[each.id].was, each.initial_start, each.timezone, each.fixed)
        if each.id in put_off and put_off[each.id].is_ours(each.next_start)
        else each
        for each in found
    ]


def resume(scene: Scene, schema: Snapshot, before: Iterable[Timed], came: Iterable[Key]) -> None:
    """Give policies that came back the next start, and the beat, of those that they replace."""
    wanted = {
        (each["proc"], each.get("on", ""), json.dumps(each.get("config"), sort_keys=True))
        for each in (schema.objects[key] for key in came if key[0] == "job")
    }
    old = {each.what: each for each in before if each.what in wanted}
    for each in timed(scene.conn) if old else ():
        was = old.pop(each.what, None)
        if was is not None and was.next_start is not None:
            scene.query([statement(scene.conn, each.id, was)])


def statement(conn: Connection, number: int, was: Timed) -> str:
    """The call that does it; alter_job forgets a time zone that it is not told."""
    [schema] = conn.execute(SCHEMA).fetchone() or ("public",)
    query = sql.SQL(ALTER).format(
        schema=sql.Identifier(schema),
        id=sql.Literal(number),
        next=sql.Literal(was.next_start),
        initial=sql.Literal(was.initial_start if was.fixed else None),
        timezone=sql.Literal(was.timezone),
    )
    return query.as_string(conn)


# --- what they would erase -------------------------------------------------------------------------------------------


def warnings(aggregate: Aggregate) -> Iterator[str]:
    """Refresh policies that go further back than raw data is kept: each run erases kept buckets."""
    kept = aggregate.retention
    for job in aggregate.jobs:
        if job.proc != REFRESH or not job.scheduled or kept is None:
            continue
        start = job.offsets.get("start_offset")
        if start is None or length(start) > length(kept):
            reach = f"the last {job.config['start_offset']}" if start is not None else "everything"
            yield (
                f"WARNING {aggregate.name}: its refresh policy (job {job.id}) computes {reach} anew, and raw data is "
                f"kept for {words(kept)}: it erases what was kept. Stop it: {mend(job, kept)}"
            )


def length(offset: Interval | int) -> int:
    """Microseconds, a month as long as none is longer."""
    return offset if isinstance(offset, int) else (offset.months * 31 + offset.days) * 86_400_000_000 + offset.us


def words(offset: Interval | int) -> str:
    """An offset as the server reads it."""
    if isinstance(offset, int):
        return str(offset)
    parts = [f"{offset.months} months" * bool(offset.months), f"{offset.days} days" * bool(offset.days)]
    parts += [f"{offset.us // 1_000_000} seconds" * bool(offset.us)]
    return " ".join(filter(None, parts)) or "0 days"


def mend(job: Job, kept: Interval | int) -> str:
    """SQL that makes it begin where retention ends."""
    value = json.dumps({"start_offset": kept if isinstance(kept, int) else words(kept)})
    zone = f", timezone => '{job.timezone}'" if job.timezone else ""
    return f"SELECT alter_job(job_id, config => config || '{value}'{zone}) FROM timescaledb_information.jobs WHERE job_id = {job.id};"  # noqa: S608, E501 - printed
