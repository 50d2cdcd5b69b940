"""An aggregate's refresh policy, held off while we fill it: two refreshes of one range fail at once, either of them.

Nothing is switched off: its next start is put off for a few minutes, again and again while we work. Whatever becomes
of us, it goes on by itself.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Connection = psycopg.Connection[Any]

PUT_OFF_MIN = 5
AGAIN_S = 120.0
WAKE = timedelta(seconds=6)
"""The scheduler sleeps at most 5 s: a job that is due within that time may be on its way when it is put off."""
STARTING_S = 1.0

NEXT = """
SELECT j.job_id, CASE WHEN isfinite(j.next_start) THEN j.next_start END
  FROM timescaledb_information.jobs j
 WHERE j.job_id = ANY (%s) AND j.scheduled AND NOT coalesce(j.next_start > now() + make_interval(mins => %s), false)"""
# What starts later than that anyhow is left alone: a run may be holding it off for longer (quiet.py).
# alter_job forgets a timezone that it is not told.
LATER = """
SELECT {schema}.alter_job(id, next_start => now() + make_interval(mins => %s), timezone => timezone)
  FROM _timescaledb_config.bgw_job WHERE id = %s"""
BACK = """
SELECT {schema}.alter_job(id, next_start => greatest(%s::timestamptz, now()), timezone => timezone)
  FROM _timescaledb_config.bgw_job WHERE id = %s"""
RUNNING = """
SELECT count(*) FROM pg_stat_activity a JOIN _timescaledb_config.bgw_job j ON j.application_name = a.application_name
 WHERE j.id = ANY (%s) AND a.datname = current_database()"""


@dataclass(slots=True)
class Held:
    """Policies that wait until we are done."""

    conn: Connection
    schema: str
    """Of the extension."""
    jobs: Sequence[int]
    before: dict[int, datetime | None] = field(default_factory=dict)
    put_off_at: float = float("-inf")
    starting_until: float = 0.0

    def put_off(self) -> None:
        """Make them wait (on)."""
        if not self.jobs or time.monotonic() - self.put_off_at < AGAIN_S:
            return
        self.put_off_at = time.monotonic()
        soon = datetime.now(UTC) + WAKE
        for job, start in self.conn.execute(NEXT, (list(self.jobs), PUT_OFF_MIN)).fetchall():
            if job not in self.before and (start is None or start <= soon):
                self.starting_until = time.monotonic() + STARTING_S
            self.before.setdefault(job, start)
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # another's job: we try again on a clash
                self.conn.execute(sql.SQL(LATER).format(schema=sql.Identifier(self.schema)), (PUT_OFF_MIN, job))

    def running(self) -> bool:
        """One of them is at work, or may be starting at this very moment."""
        if time.monotonic() < self.starting_until:
            return True
        row = self.conn.execute(RUNNING, (list(self.jobs),)).fetchone() if self.jobs else None
        return bool(row and row[0])

    def let_go(self) -> None:
        """They start when they would have, or now when that has passed."""
        for job, start in self.before.items():
            if start is not None:
                with contextlib.suppress(psycopg.Error):  # it goes on by itself in a few minutes
                    self.conn.execute(sql.SQL(BACK).format(schema=sql.Identifier(self.schema)), (start, job))
        self.before.clear()


@contextlib.contextmanager
def held(conn: Connection, schema: str, jobs: Sequence[int]) -> Iterator[Held]:
    """Policies put off for as long as this lasts."""
    found = Held(conn, schema, jobs)
    found.put_off()
    try:
        yield found
    finally:
        found.let_go()
