"""Policies of an aggregate that was made anew: when they run next, and whether they erase what was kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.core import erosion
from tidelock.core.quieting import left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tidelock.app.ports import Scene
    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.check import Flaw
    from tidelock.core.snapshot import Key, Snapshot

    Connection = psycopg.Connection[Any]

JOBS = """
SELECT b.id, format('%I.%I', b.proc_schema, b.proc_name),
       CASE WHEN j.hypertable_name IS NULL THEN '' ELSE format('%I.%I', j.hypertable_schema, j.hypertable_name) END,
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


def warnings(stock: Stock, aggregate: Aggregate) -> Iterator[str]:
    """Refresh policies that go further back than raw data is kept: each run erases kept buckets."""
    return (warning(flaw) for _, flaw in erosion.of(stock, aggregate))


def warning(flaw: Flaw) -> str:
    """What is wrong, and the SQL that stops it."""
    return f"WARNING {flaw.what}. Stop it: {flaw.mend}"
