"""A second pair of eyes while a run works: its sign of life, whom it waits for, how far a long statement is.

One thread with a connection of its own, opened only when a run takes longer than a moment.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString, cast

import psycopg

from tidelock.core.report import Event, Happening
from tidelock.postgres import lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.app.ports import Sink
    from tidelock.postgres.ledger import Ledger
    from tidelock.postgres.session import Session

TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that another one waits for, or a prepared transaction, which has none."""

    pid: int
    user: str
    application: str
    state: str
    query: str
    age_s: float
    """Seconds since its transaction began, or was prepared."""
    prepared: str = ""
    """The name that PREPARE TRANSACTION gave it, as a literal of SQL; `pid` is 0 then."""

    def __str__(self) -> str:
        if self.prepared:
            ends = f"end it: COMMIT PREPARED {self.prepared} or ROLLBACK PREPARED {self.prepared}"
            return f"the prepared transaction {self.prepared} · {self.user} · for {span(self.age_s)} · {ends}"
        if self.query == HIDDEN:
            who = [f"pid {self.pid}", self.user, self.application]
            return " · ".join(part for part in who if part) + " (the rest is hidden without pg_read_all_stats)"
        parts = [f"pid {self.pid}", self.user, self.application, self.state, " ".join(self.query.split())[:120]]
        return " · ".join(part for part in parts if part) + f" · for {span(self.age_s)}"


HIDDEN = "<insufficient privilege>"
"""What pg_stat_activity shows of another role's query."""

BLOCKERS = """
SELECT DISTINCT p.pid, coalesce(b.usename, ''), coalesce(b.application_name, ''), coalesce(b.state, ''),
       coalesce(b.query, ''), coalesce(extract(epoch FROM clock_timestamp()
                                   - coalesce(b.xact_start, b.query_start, b.backend_start)), 0)::float8
  FROM pg_stat_activity w CROSS JOIN unnest(pg_blocking_pids(w.pid)) p (pid) LEFT JOIN pg_stat_activity b
       ON b.pid = p.pid
 WHERE w.query LIKE %(mark)s AND w.state = 'active' AND w.pid <> pg_backend_pid() AND (p.pid = 0 OR b.pid = p.pid)"""
"""A prepared transaction is pid 0, and nothing else is known of it there."""

PREPARED = """
WITH modes (mode, place, conflicts) AS (VALUES
  ('AccessShareLock', 1, '00000001'), ('RowShareLock', 2, '00000011'), ('RowExclusiveLock', 3, '00001111'),
  ('ShareUpdateExclusiveLock', 4, '00011111'), ('ShareLock', 5, '00110111'), ('ShareRowExclusiveLock', 6, '00111111'),
  ('ExclusiveLock', 7, '01111111'), ('AccessExclusiveLock', 8, '11111111'))
SELECT DISTINCT 0, x.owner::text, '', '', '',
       extract(epoch FROM clock_timestamp() - x.prepared)::float8, quote_literal(x.gid)
  FROM pg_stat_activity w
  JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted
  JOIN pg_locks h ON h.pid IS NULL AND h.granted AND h.locktype = l.locktype
       AND (h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
           IS NOT DISTINCT FROM
           (l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid)
  JOIN modes a ON a.mode = l.mode
  JOIN modes b ON b.mode = h.mode AND substr(a.conflicts, b.place, 1) = '1'
  JOIN pg_locks o ON o.pid IS NULL AND o.locktype = 'transactionid' AND o.virtualtransaction = h.virtualtransaction
  JOIN pg_prepared_xacts x ON x.transaction = o.transactionid
 WHERE w.query LIKE %(mark)s AND w.state = 'active' AND w.pid <> pg_backend_pid()"""
"""Those in the way, by the table of conflicting locks in PostgreSQL's manual: a person may end what is named here."""

PROGRESS = """
SELECT p.phase, CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total
                     WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total
                     WHEN p.lockers_total > 0 THEN p.lockers_done::float8 / p.lockers_total END
  FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid) WHERE a.query LIKE %(mark)s"""

CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
 WHERE query LIKE %(mark)s AND state = 'active' AND pid <> pg_backend_pid()"""
CANCEL_WAITING: LiteralString = CANCEL + " AND pg_blocking_pids(pid) <> '{}'"
"""Not when it has got its lock since we looked."""


class Watch:
    """The thread. `blocked_s` and `blockers` are of the statement that `session` runs now."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[tuple[object, ...]]],
        ledger: Ledger,
        run_id: str,
        sink: Sink,
    ) -> None:
        self._connect = connect
        self._ledger = ledger
        self._run_id = run_id
        self._mark = {"mark": f"/* tidelock run {run_id} */%"}
        self._sink = sink
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tidelock-watch", daemon=True)
        self.session: Session | None = None
        self.alive_at = time.monotonic()
        """When the last sign of life was given."""
        self.lost = False
        """The lease is another's."""
        self.blockers: tuple[Blocker, ...] = ()
        """Of the last look that found some, for the statement at hand."""
        self.blocked_s = 0.0
        """How long the statement at hand has been seen waiting for a lock."""
        self.limit_s: float | None = None
        """Cancel the statement at hand when it has waited for so long."""
        self.attempt_s: float | None = None
        """Cancel it already when it has waited so long for one lock, as lock_timeout would: it is tried again."""
        self.cancelled = False
        self.label = ""
        self._waits_s = 0.0
        """How long it has been seen waiting without a break."""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once when the thread sleeps, and does not wait for a server that hangs."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def attend(self, label: str, limit_s: float | None = None, attempt_s: float | None = None) -> None:
        """A new statement or step begins."""
        self.blockers, self.blocked_s, self._waits_s, self.cancelled = (), 0.0, 0.0, False
        self.limit_s, self.attempt_s, self.label = limit_s, attempt_s, label

    def _run(self) -> None:
        conn: psycopg.Connection[tuple[object, ...]] | None = None
        while not self._stop.wait(TICK_S):
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                self._tick(conn)
            except psycopg.Error:
                # The server is away or full. The main thread meets the same and explains it; what counts here is
                # that no sign of life was given, which `alive_at` tells.
                if conn is not None:
                    conn.close()
                conn = None
        if conn is not None:
            conn.close()

    def _tick(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        if time.monotonic() - self.alive_at >= lease.PULSE_S:
            if lease.pulse(conn, self._ledger, self._run_id):
                self.alive_at = time.monotonic()
            else:
                self.lost = True
                conn.execute(CANCEL, self._mark)
        session = self.session
        if session is not None and session.sent_at and time.monotonic() - session.sent_at > TICK_S / 2:
            self._look(conn)
        else:
            self._waits_s = 0.0

    def _look(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        found = self._found(conn)
        self._waits_s = self._waits_s + TICK_S if found else 0.0
        if found:
            first = not self.blockers
            self.blockers = found
            self.blocked_s += TICK_S
            if first or int(self.blocked_s / TICK_S) % 20 == 0:
                self._sink.emit(
                    Event(
                        what=Happening.WAITING,
                        label=self.label,
                        text=f"{self.label} waits for {self.blockers[0]}{self._patience}",
                    )
                )
            if (self.limit_s is not None and self.blocked_s > self.limit_s) or (
                self.attempt_s is not None and self._waits_s >= self.attempt_s
            ):
                self.cancelled = True
                conn.execute(CANCEL_WAITING, self._mark)
        for phase, fraction in cast("list[tuple[str, float | None]]", conn.execute(PROGRESS, self._mark).fetchall()):
            self._sink.emit(Event(what=Happening.PROGRESS, label=self.label, text=phase, fraction=fraction))

    def _found(self, conn: psycopg.Connection[tuple[object, ...]]) -> tuple[Blocker, ...]:
        """Whom the statement at hand waits for: sessions first."""
        rows = cast("list[tuple[int, str, str, str, str, float]]", conn.execute(BLOCKERS, self._mark).fetchall())
        sessions = tuple(Blocker(*row) for row in rows if row[0])
        if len(sessions) == len(rows):
            return sessions
        more = conn.execute(PREPARED, self._mark).fetchall()
        return sessions + tuple(Blocker(*row) for row in cast("list[tuple[int, str, str, str, str, float, str]]", more))

    @property
    def _patience(self) -> str:
        left_s = self.limit_s - self.blocked_s if self.limit_s is not None else 0.0
        return f" · gives up in {span(left_s)}" if left_s > 0 else ""


def span(seconds: float) -> str:
    """`0.4 s`, `38 s`, `14 min`, `3 h`: as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
