"""An aggregate's refresh policy, held off while we fill it: two refreshes of one range fail at once, either of them.

Nothing is switched off: its next start is put off for a few minutes, again and again while we work. Whatever becomes
of us, it goes on by itself.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.timescale.background import home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tidelock.timescale.background import Due, Home

    Connection = psycopg.Connection[Any]

PUT_OFF = timedelta(minutes=5)
AGAIN_S = 120.0
STARTING_S = 1.0


@dataclass(slots=True)
class Held:
    """Policies that wait until we are done."""

    conn: Connection
    home: Home
    jobs: Sequence[int]
    before: dict[int, datetime | None] = field(default_factory=dict)
    put_off_at: float = float("-inf")
    starting_until: float = 0.0

    def due(self) -> list[Due]:
        """Those that start soon. What starts later is left alone: a run may be holding it off for longer (quiet.py)."""
        found = self.home.look(self.conn, ids=self.jobs) if self.jobs else []
        return [each for each in found if not each.never and not each.waits(PUT_OFF)]

    def put_off(self) -> None:
        """Make them wait (on)."""
        if not self.jobs or time.monotonic() - self.put_off_at < AGAIN_S:
            return
        self.put_off_at = time.monotonic()
        for each in self.due():
            if each.id not in self.before and each.starting:
                self.starting_until = time.monotonic() + STARTING_S
            self.before.setdefault(each.id, each.next_start)
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # another's job: we try again on a clash
                self.home.alter(self.conn, each, each.now + PUT_OFF)

    def running(self) -> bool:
        """One of them is at work, or may be starting at this very moment."""
        if time.monotonic() < self.starting_until:
            return True
        return bool(self.jobs) and any(each.pid is not None for each in self.home.look(self.conn, ids=self.jobs))

    def let_go(self) -> None:
        """They start when they would have, or now when that has passed."""
        with contextlib.suppress(psycopg.Error):  # they go on by themselves in a few minutes
            for each in self.due() if self.before else ():
                if (start := self.before.get(each.id)) is not None:
                    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                        self.home.alter(self.conn, each, max(start, each.now))
        self.before.clear()


@contextlib.contextmanager
def held(conn: Connection, jobs: Sequence[int]) -> Iterator[Held]:
    """Policies put off for as long as this lasts."""
    place = home(conn)
    assert place is not None, "jobs are TimescaleDB's"
    found = Held(conn, place, jobs)
    found.put_off()
    try:
        yield found
    finally:
        found.let_go()
