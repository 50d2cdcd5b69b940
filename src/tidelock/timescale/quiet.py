"""Background jobs are held off while a step changes what they work on, and put back after it.

DDL takes one lock after another, and so does a job that compresses or refreshes: the two deadlock. A job is put off by
a later next_start, never switched off: when this run dies, it runs late and not never. The journal says what was done
before it is done, so that the next run puts it back.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from tidelock.app.ports import StepHooks
from tidelock.core.quieting import HOLD, RENEWAL, Held, detail, left
from tidelock.core.report import Happening
from tidelock.errors import PassingFault
from tidelock.timescale.background import Due, Home, home, touched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.app.ports import Scene
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]

LOOK_S = 0.25
GRACE = timedelta(seconds=5)
"""What is late starts this much after the step: the next step of the run may need it quiet again."""
LOCK_S = 2
"""How long to wait for the table of jobs, on a connection of our own."""


class StillRunning(PassingFault):
    """A background job works on what a step changes, and did not end in time."""

    code = "T013"

    def __init__(self, label: str, job: Due) -> None:
        super().__init__(
            f"{label}: {job.name} is still running, for {job.running_s:.0f} s by now, on what this step changes",
            hint="nothing of this step was changed; wait longer (`tidelock apply --wait 30m`), or end the job: "
            f"SELECT pg_cancel_backend({job.pid})",
        )


class Quieter(StepHooks):
    """Holds off the jobs of what a step locks, alters or drops."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.home: Home | None = None
        self.held: dict[int, Held] = {}
        self.renewed_at = 0.0
        self.renewals = 0
        self.left: dict[int, Held] = left(
            (each for _, _, each in scene.noted("quieted")), (each for _, _, each in scene.noted("unquieted"))
        )
        """What a run before this one, which is dead, has not put back."""

    def attends(self, step: Step) -> bool:
        """Asks no server: a query of the run may be under way."""
        return bool(self.left) or any(touched(step))

    def prepare(self, step: Step) -> None:
        """Hold off the jobs, and wait for those that run now. Raises StillRunning when patience ends before they do."""
        conn = self.scene.conn
        self.home = home(conn)
        if self.home is None:
            return
        names, schemas = touched(step)
        self.renewed_at, self.renewals = time.monotonic(), 0
        refused: set[int] = set()
        told: set[int] = set()
        while True:
            found = self.home.look(conn, names, schemas) if names or schemas else []
            late = self.hold(found, refused)
            if self.left:
                self.mend(conn)
            running = [each for each in found if each.pid is not None]
            for each in running:
                if each.id not in told:
                    told.add(each.id)
                    since = f"for {each.running_s:.0f} s" if each.running_s >= 1 else "since just now"
                    self.scene.tell(Happening.WAITING, f"{each.name} has been running {since}; waiting for its end")
            if not running and not late:
                return
            if not self.scene.pause(LOOK_S) and running:
                raise StillRunning("the step has not begun", running[0])

    def hold(self, found: list[Due], refused: set[int]) -> bool:
        """Put off those that would start too soon; True when one of them may be starting at this very moment."""
        assert self.home
        wanted: dict[int, tuple[Due, Held]] = {}
        for each in found:
            if each.id in refused or each.pid is not None or each.never or self.is_held(each):
                continue
            before = self.left.pop(each.id, None)
            if before and before.is_ours(each.next_start):
                wanted[each.id] = (each, Held(before.was, each.now + HOLD))
            elif each.next_start is None or each.next_start < each.now + HOLD:
                wanted[each.id] = (each, Held(each.next_start, each.now + HOLD))
        if not wanted:
            return False
        self.scene.note("quieted", detail({job: held for job, (_, held) in wanted.items()}))
        for job, (each, held) in wanted.items():
            if self.alter(self.scene.conn, each, held):
                self.held[job] = held
            else:
                refused.add(job)
        return any(job in self.held and each.starting for job, (each, _) in wanted.items())

    def is_held(self, job: Due) -> bool:
        """Whether it has the next start that this run gave it."""
        return job.id in self.held and self.held[job.id].is_ours(job.next_start)

    def alter(self, conn: Connection, job: Due, held: Held) -> bool:
        """Give one job its later start. Where that is refused or not to be had, the step goes on: locks are retried."""
        assert self.home
        try:
            self.home.alter(conn, job, held.set)
        except psycopg.OperationalError as error:
            if error.sqlstate != "55P03":
                raise
            why = error.diag.message_primary
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DataError) as error:
            why = error.diag.message_primary
        else:
            return True
        self.scene.tell(Happening.NOTE, f"{job.name} could not be held off ({why}): the step may have to wait for it")
        return False

    def before(self, step: Step, statement: Statement) -> None:
        """Put them off again when half of the time is over."""
        del step, statement
        if self.held and time.monotonic() - self.renewed_at > RENEWAL.total_seconds():
            self.renewed_at = time.monotonic()
            self.renewals += 1
            with suppress(psycopg.Error), self.aside() as conn:
                self.renew(conn)

    def renew(self, conn: Connection) -> None:
        """By exactly RENEWAL, so that the journal's line still tells that it is ours."""
        assert self.home
        for each in self.home.look(conn, ids=self.held):
            if self.is_held(each) and each.next_start:
                self.home.alter(conn, each, self.held[each.id].set + RENEWAL * self.renewals)

    def ended(self, step: Step) -> None:
        """Put back what still has our next start. What cannot be put back is left to the next run, or to time."""
        del step
        if not self.held:
            return
        try:
            if idle(self.scene.conn):
                self.put_back(self.scene.conn, self.held)
                self.scene.note("unquieted", detail(self.held))
            else:
                with self.aside() as conn:
                    self.put_back(conn, self.held)
        except Exception as error:  # the step's own fault, if there is one, is what has to be told
            until = max(each.set for each in self.held.values())
            self.scene.tell(
                Happening.NOTE,
                f"background jobs {', '.join(map(str, self.held))} stay held off until {until:%H:%M %Z}, or until the "
                f"next `tidelock apply`: {error}",
            )
        self.held = {}

    def put_back(self, conn: Connection, held: Mapping[int, Held]) -> list[str]:
        """Give jobs their next start again, or one soon when that has gone by: what of them was still held."""
        assert self.home
        names = []
        for each in self.home.look(conn, ids=held):
            before = held[each.id]
            if before.is_ours(each.next_start):
                soon = each.now + GRACE
                late = before.was is None or before.was <= each.now
                self.home.alter(conn, each, soon if late or before.was is None else before.was)
                names.append(each.name)
        return names

    def mend(self, conn: Connection) -> None:
        """Put back what a run that died had put off, and what this step does not need."""
        held, self.left = self.left, {}
        try:
            names = self.put_back(conn, held)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable) as error:
            self.scene.tell(Happening.NOTE, f"background jobs of a run before could not be put back: {error}")
            return
        self.scene.note("unquieted", detail(held))
        if names:
            self.scene.tell(Happening.RECOVERED, f"put back what a run before had held off: {', '.join(names)}")

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """A connection of our own, which does not wait long."""
        with self.scene.connect() as conn:
            conn.autocommit = True
            conn.execute(f"SET lock_timeout = '{LOCK_S}s'")
            yield conn


def idle(conn: Connection) -> bool:
    """Whether a connection can take a query of its own now."""
    return not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE
