"""Fills an aggregate in windows: newest first, several at a time, only where its source has what it is made of.

Here it is decided what is to be done, and told what comes of it; `worker` does it.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.core.aggregates import REFRESH, Span
from tidelock.core.windows import Pile, amount, clock, length, merged, without
from tidelock.timescale.call import Call
from tidelock.timescale.coarse import is_coarse
from tidelock.timescale.ground import ground, outside
from tidelock.timescale.held import held
from tidelock.timescale.holes import changes
from tidelock.timescale.worker import PATIENCE_S, Done, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.filling import Fill
    from tidelock.timescale.call import Way, Wish

    Connection = psycopg.Connection[Any]

PARALLEL = 2
"""Connections, unless someone says otherwise: measured in docs/performance.md."""
CONCURRENT_SINCE = (2, 21)
"""Before, refreshes of one aggregate queue behind each other's heavy lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    aggregate: str
    windows: int
    span: Span | None
    """From the first to the last point that was refreshed; None when there was nothing to do."""
    kept: int
    """Buckets that only the aggregate has: left as they are."""
    kept_span: Span | None
    parallel: int
    took_s: float
    stopped: bool = False
    """It was asked to end before it was done."""
    left: Span | None = None
    """From the first to the last point that is left."""


@dataclass(slots=True)
class Refreshing:
    """One aggregate's refresh."""

    conn: Connection
    """For looking; autocommit."""
    connect: Callable[[], Connection]
    stock: Stock
    wish: Wish
    way: Way
    tell: Callable[[str, float | None], None]
    """Text and fraction, for whoever watches."""
    note: Callable[[Span], None]
    """A window is done: for the journal."""
    fill: Fill | None = None
    """It was rebuilt; as the journal has it."""
    stop: threading.Event = field(default_factory=threading.Event)
    heard: queue.Queue[Done] = field(default_factory=queue.Queue)
    worker: Worker = field(init=False)
    total: int = field(init=False)
    began: float = field(default_factory=time.monotonic)
    done: list[Span] = field(default_factory=list)
    kept: list[Span] = field(default_factory=list)
    windows: int = 0

    @property
    def aggregate(self) -> Aggregate:
        """The one that is refreshed."""
        found = self.stock.aggregate(self.wish.aggregate)
        assert found is not None, "its name was looked up"
        return found

    def run(self) -> Outcome:
        """Until all is done, or `stop` is set. Raises what stopped a worker."""
        from tidelock.timescale.filling import current
        from tidelock.timescale.ground import whole

        aggregate = self.aggregate
        start, end = whole(self.conn, aggregate, self.wish.start, self.wish.end)
        self.fill = current(self.conn, aggregate, self.fill)
        there = ground(self.conn, aggregate, start, end, self.fill)
        outside_ = outside(self.conn, aggregate, there, start, end) or (0, None, None)
        coarse = is_coarse(self.conn, self.stock, aggregate)
        left = [part for each in there for part in reversed(without(each, self.wish.done))]
        left = merged(left) if coarse else left
        self.worker = Worker(
            aggregate=aggregate,
            connect=self.connect,
            call=Call.of(self.conn, aggregate, self.wish),
            way=self.way,
            pile=Pile(left=left, aim_s=self.way.lock_wait_s),
            noted=changes(self.conn, aggregate),
            fill=self.fill,
            coarse=coarse,
            stop=self.stop,
            heard=self.heard,
        )
        self.total = length(left)
        number = 1 if coarse else min(self.parallel(), max(1, len(left)))
        jobs = [each.id for each in aggregate.jobs if each.proc == REFRESH]
        if left:
            with held(self.conn, jobs) as policies:
                self.await_policies(policies)
                self.work(number, policies)
        return self.outcome(number, outside_)

    def parallel(self) -> int:
        """How many at a time."""
        if self.stock.release < CONCURRENT_SINCE:
            return 1
        return self.way.parallel or PARALLEL

    def await_policies(self, policies: Any) -> None:
        """A policy that is at work now is let end: it would fail at the first of our windows that it meets."""
        since = time.monotonic()
        while policies.running() and not self.stop.is_set() and time.monotonic() - since < PATIENCE_S:
            self.tell("its refresh policy is at work: waiting for its end", None)
            time.sleep(0.25)
            policies.put_off()

    def work(self, number: int, policies: Any) -> None:
        """Start the workers, and listen to them until they end."""
        threads = [
            threading.Thread(target=self.worker.work, name=f"tidelock-refresh-{i}", daemon=True) for i in range(number)
        ]
        for each in threads:
            each.start()
        try:
            while any(each.is_alive() for each in threads) or not self.heard.empty():
                with suppress(queue.Empty):
                    self.take(self.heard.get(timeout=0.2), number)
                policies.put_off()
        except BaseException:
            self.end(threads)
            raise
        for each in threads:
            each.join()

    def end(self, threads: Sequence[threading.Thread]) -> None:
        """Let the windows at hand end if they are quick, cancel them otherwise; note what was done."""
        self.stop.set()
        deadline = time.monotonic() + 1.5
        for each in threads:
            each.join(timeout=max(0.0, deadline - time.monotonic()))
        for conn in list(self.worker.open):
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=0.5)
        for each in threads:
            each.join(timeout=0.5)
        while not self.heard.empty():
            heard = self.heard.get_nowait()
            if heard.error is None and not heard.waits:
                with suppress(psycopg.Error):
                    self.take(heard, len(threads))

    def take(self, heard: Done, number: int) -> None:
        """What a worker says."""
        if heard.error is not None:
            raise heard.error
        if heard.waits:
            self.tell(heard.waits, length(self.done) / self.total)
            return
        self.windows += 1
        self.done.append(heard.span)
        self.kept += heard.kept
        self.note(heard.span)
        done, took = length(self.done), time.monotonic() - self.began
        rate = done / took
        kind = self.aggregate.kind
        parts = [f"{amount(done, kind)} of {amount(self.total, kind)}", f"{amount(rate, kind)}/s"]
        if number > 1:
            parts.append(f"{number} at a time")
        parts.append(f"{clock((self.total - done) / rate)} left")
        self.tell(" · ".join(parts), done / self.total)

    def outcome(self, number: int, outside_: tuple[int, int | None, int | None]) -> Outcome:
        """The end."""
        kept, start, end = outside_
        kind = self.aggregate.kind
        spans = [*self.kept]
        if kept and start is not None and end is not None:
            spans.append(Span(start=start, end=end, kind=kind))
        left = [*self.worker.pile.left]
        return Outcome(
            aggregate=self.aggregate.name,
            windows=self.windows,
            span=hull(self.done),
            kept=kept + self.kept_buckets(),
            kept_span=hull(spans),
            parallel=number,
            took_s=time.monotonic() - self.began,
            stopped=bool(left),
            left=hull(left),
        )

    def kept_buckets(self) -> int:
        """How many buckets were left as they are within windows."""
        from tidelock.timescale.history import between

        if not self.kept:
            return 0
        aggregate = self.aggregate
        within = sql.Composed([between(aggregate, each.start, each.end) for each in merged(self.kept)]).join(" OR ")
        query = sql.SQL("SELECT count(DISTINCT {}) FROM {} WHERE {}").format(
            sql.Identifier(aggregate.column), sql.SQL(aggregate.relation), within
        )
        row = self.conn.execute(query).fetchone()
        return int(row[0]) if row else 0


def hull(spans: Sequence[Span]) -> Span | None:
    """From the first to the last point of them."""
    if not spans:
        return None
    return Span(start=min(each.start for each in spans), end=max(each.end for each in spans), kind=spans[0].kind)
