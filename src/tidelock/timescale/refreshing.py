"""Fills an aggregate in windows: newest first, several at a time, only where its source has what it is made of.

Before each window, and with its chunks of the source locked against a drop, we look at what the source has lost. Those
buckets stay as they are: the window goes around them.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.app.patience import backoff
from tidelock.core.aggregates import REFRESH, Span
from tidelock.core.windows import Pile, amount, clock, joined, length, merged, without
from tidelock.errors import PassingFault
from tidelock.timescale.ground import first_in, ground, in_part_until, outside, remains
from tidelock.timescale.held import held
from tidelock.timescale.points import point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.filling import Fill

    Connection = psycopg.Connection[Any]

PARALLEL = 2
"""Connections, unless someone says otherwise: measured in docs/performance.md."""
CONCURRENT_SINCE = (2, 21)
"""Before, refreshes of one aggregate queue behind each other's heavy lock."""
BUSY = ("55P03", "40P01", "40001")
PATIENCE_S = 600.0
"""How long one window may find others in its way."""
LOST = 5
"""Connections that may be lost in a row, by one worker."""

SURE = """
SELECT n.nspname, e.extversion,
       (SELECT array_agg(a) FROM pg_proc p, unnest(p.proargnames) a
         WHERE p.proname = 'refresh_continuous_aggregate' AND p.pronamespace = n.oid)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"""


class RefreshBusy(PassingFault):
    """Others kept a part of the aggregate busy for longer than is patience."""

    code = "T016"

    def __init__(self, name: str, window: Span, why: str) -> None:
        super().__init__(
            f"{name}: {window} could not be refreshed for {PATIENCE_S / 60:.0f} minutes: {why}",
            hint="look who refreshes it or holds a lock (`tidelock aggregates list`, pg_stat_activity), then run the "
            "command again: it goes on with what is left",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be refreshed, and how."""

    aggregate: str
    start: int | None = None
    end: int | None = None
    """As asked: not of whole buckets yet. None is no bound."""
    force: bool = False
    options: str = ""
    """The statement's own, as JSON; empty for ours."""
    done: tuple[Span, ...] = ()
    """What an earlier run has done of just this, and the server would do again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the work is done."""

    parallel: int = 0
    """Connections; 0 lets us choose."""
    lock_wait_s: float = 1.0
    role: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the session that asks, for those that work."""


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
class Done:
    """One window's end, from a worker."""

    span: Span
    kept: list[Span] = field(default_factory=list)
    error: BaseException | None = None
    waits: str = ""
    """It goes on waiting for others."""


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
    open: list[Connection] = field(default_factory=list)
    """The workers' connections, to be cancelled."""
    pile: Pile = field(init=False)
    until: int | None = field(init=False)
    call: _Call = field(init=False)
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
        self.until = in_part_until(self.conn, aggregate, self.stock)
        self.call = _Call.of(self.conn, aggregate, self.wish)
        left = [part for each in there for part in reversed(without(each, self.wish.done))]
        self.pile = Pile(left=left, aim_s=self.way.lock_wait_s)
        self.total = length(left)
        number = min(self.parallel(), max(1, len(left)))
        jobs = [each.id for each in aggregate.jobs if each.proc == REFRESH]
        if left:
            with held(self.conn, jobs) as policies:
                self.await_policies(policies)
                self.work(number, policies)
        return self.outcome(number, outside_)

    def parallel(self) -> int:
        """How many at a time."""
        if tuple(int(part) for part in self.stock.version.split(".")[:2] if part.isdigit()) < CONCURRENT_SINCE:
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
            threading.Thread(target=self.worker, name=f"tidelock-refresh-{i}", daemon=True) for i in range(number)
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
        for conn in list(self.open):
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
        left = [*self.pile.left]
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

    # --- in a thread of its own ----------------------------------------------------------------------------------

    def worker(self) -> None:
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
            kept = remains(work, aggregate, window, self.until, self.fill)
            for part in without(window, kept):
                work.execute(mark(work) + self.call.over(part))
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """The CALL, as this version takes it."""

    schema: str
    arguments: sql.Composed
    """What follows the window."""
    name: str
    """The aggregate, `schema.name`."""

    @classmethod
    def of(cls, conn: Connection, aggregate: Aggregate, wish: Wish) -> _Call:
        schema, _, names = conn.execute(SURE).fetchone() or ("public", "", [])
        arguments = sql.Composed([])
        if wish.force:
            arguments += sql.Composed([sql.SQL(", force => true")])
        # Without it the server cuts a window into batches of ten buckets: 30.2 s against 18.5 s for all of them.
        if options := wish.options or ('{"buckets_per_batch": 0}' if "options" in names else ""):
            arguments += sql.SQL(", options => {}::jsonb").format(sql.Literal(options))
        return cls(schema=schema, arguments=arguments, name=aggregate.name)

    def over(self, window: Span) -> sql.Composed:
        """The CALL for one window."""
        return sql.SQL("CALL {}.refresh_continuous_aggregate({}::regclass, {}, {}{})").format(
            sql.Identifier(self.schema),
            sql.Literal(self.name),
            point(window.start, window.kind),
            point(window.end, window.kind),
            self.arguments,
        )


def mark(conn: Connection) -> sql.SQL:
    """The run's mark, by which its watch knows (and cancels, when the lease is lost) what is its own."""
    name = conn.info.parameter_status("application_name") or ""
    run_id = name.removeprefix("tidelock ")
    return sql.SQL(f"/* tidelock run {run_id} */ " if run_id.isalnum() else "")


def hull(spans: Sequence[Span]) -> Span | None:
    """From the first to the last point of them."""
    if not spans:
        return None
    return Span(start=min(each.start for each in spans), end=max(each.end for each in spans), kind=spans[0].kind)
