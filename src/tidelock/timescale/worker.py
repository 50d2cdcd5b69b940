"""Windows of a refresh, one after the other, on connections of its own: what several threads do at the same time.

Before each window, and with its chunks of the source locked against a drop, we look at what the source has lost. Those
buckets stay as they are: the window goes around them.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.app.patience import backoff
from tidelock.core.aggregates import Span
from tidelock.core.windows import joined, without
from tidelock.errors import PassingFault
from tidelock.timescale import coarse
from tidelock.timescale.call import mark
from tidelock.timescale.ground import first_in
from tidelock.timescale.holes import remains

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable

    from tidelock.core.aggregates import Aggregate
    from tidelock.core.filling import Fill
    from tidelock.core.windows import Pile
    from tidelock.timescale.call import Call, Way

    Connection = psycopg.Connection[Any]

BUSY = ("55P03", "40P01", "40001")
PATIENCE_S = 600.0
"""How long one window may find others in its way."""
LOST = 5
"""Connections that may be lost in a row, by one worker."""


class RefreshBusy(PassingFault):
    """Others kept a part of the aggregate busy for longer than is patience."""

    code = "T016"

    def __init__(self, name: str, window: Span, why: str) -> None:
        super().__init__(
            f"{name}: {window} could not be refreshed for {PATIENCE_S / 60:.0f} minutes: {why}",
            hint="look who refreshes it or holds a lock (`tidelock aggregates list`, pg_stat_activity), then run the "
            "command again: it goes on with what is left",
        )


@dataclass(slots=True)
class Done:
    """One window's end, from a worker."""

    span: Span
    kept: list[Span] = field(default_factory=list)
    error: BaseException | None = None
    waits: str = ""
    """It goes on waiting for others."""


@dataclass(slots=True)
class Worker:
    """Takes windows from a pile that it shares with others; one serves all threads."""

    aggregate: Aggregate
    connect: Callable[[], Connection]
    call: Call
    way: Way
    pile: Pile
    noted: list[Span]
    """What had changed before the first window."""
    fill: Fill | None
    coarse: bool
    """The server cuts windows in another way than buckets lie (`coarse`)."""
    stop: threading.Event
    heard: queue.Queue[Done]
    open: list[Connection] = field(default_factory=list)
    """Those that work, to be cancelled."""

    def work(self) -> None:
        """Windows, until none is left. A connection that is lost is made again, and its window repeated."""
        lost = 0
        try:
            while not self.stop.is_set():
                before = len(self.pile.left)
                try:
                    with ExitStack() as stack:
                        work, guard = (stack.enter_context(closing(self.prepared())) for _ in range(2))
                        self.open.append(work)
                        stack.callback(self.open.remove, work)
                        self.windows_of(work, guard)
                        return
                except psycopg.OperationalError as error:
                    lost = 1 if len(self.pile.left) < before else lost + 1
                    if self.stop.is_set():
                        return
                    if error.sqlstate in BUSY or lost > LOST:
                        raise
                    time.sleep(backoff(lost))
        except BaseException as error:
            self.stop.set()
            self.heard.put(Done(Span(start=0, end=0, kind=self.aggregate.kind), error=error))

    def prepared(self) -> Connection:
        """A connection with the settings of this work."""
        conn = self.connect()
        wait_ms = max(1, int(self.way.lock_wait_s * 1000))
        conn.execute(
            f"SET lock_timeout = {wait_ms}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
            " SET synchronous_commit = off; SET client_min_messages = warning".encode()
        )
        for name, value in self.way.settings:
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        if self.way.role:
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.way.role)))
        return conn

    def windows_of(self, work: Connection, guard: Connection) -> None:
        """Take windows while there are any."""
        while not self.stop.is_set() and (taken := self.pile.take()):
            began = time.monotonic()
            try:
                kept, waited_s = self.window(work, guard, joined(taken))
            except BaseException:
                self.pile.give_back(taken)
                raise
            if kept is None:
                self.pile.give_back(taken)
                return
            self.pile.learn(len(taken), time.monotonic() - began - waited_s)
            self.heard.put(Done(joined(taken), kept))

    def window(self, work: Connection, guard: Connection, window: Span) -> tuple[list[Span] | None, float]:
        """One window: what of it was left as it is, and for how long others were in the way. None: it has to stop."""
        waited_s, number = 0.0, 0
        while True:
            tried = time.monotonic()
            try:
                return self.guarded(work, guard, window), waited_s
            except psycopg.Error as error:
                if error.sqlstate == "57014" and self.stop.is_set():
                    return None, waited_s
                if error.sqlstate not in BUSY:
                    raise
                why = error.diag.message_primary or ""
            waited_s += time.monotonic() - tried
            if waited_s > PATIENCE_S:
                raise RefreshBusy(self.aggregate.name, window, why)
            if number > 1:
                self.heard.put(Done(window, waits=f"waits: {why}"))
            pause = backoff(number, most_s=2.0)
            if self.stop.wait(pause):
                return None, waited_s
            waited_s, number = waited_s + pause, number + 1

    def guarded(self, work: Connection, guard: Connection, window: Span) -> list[Span]:
        """Look what must stay and refresh the rest, while no chunk of the window can be dropped."""
        aggregate = self.aggregate
        # The CALL reads these chunks anyhow and so holds the same lock; ours begins before the look. Whoever wants to
        # drop one waits for one window. If our own CALL gets behind him in the queue, its lock_timeout lets both go on.
        with guard.transaction():
            first_in(guard, aggregate.source, aggregate.source_time, window)
            kept = remains(work, aggregate, window, self.noted, self.fill)
            for part in without(window, kept):
                asked = coarse.around(work, aggregate, part) if self.coarse else part
                if asked is None:
                    kept.append(part)
                else:
                    work.execute(mark(work) + self.call.over(asked))
        return kept
