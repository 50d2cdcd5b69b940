"""One runner at a time, through poolers too: a row that says who, and every transaction of a run holds it.

How it excludes (ADR 0002): each transaction of a run reads the holder's row FOR SHARE and fails when the row names
another run; taking over updates that row, so it cannot happen while such a transaction is open. Statements outside
transactions need a session of their own, whose pid stands in the row: a successor waits for it or ends it first.
When that session is no more, the run that had it can do nothing further: its transactions fail at the row, and for
a statement outside of one it has no session, as a lost connection always means a new run id. So a successor takes
over at once, and only a holder behind a pooler, or one that is paused, has to have been silent for LIFETIME_S.
No advisory lock: a pooler in transaction mode leaks them, and waiting for one blocks CREATE INDEX CONCURRENTLY.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from tidelock.app.patience import backoff
from tidelock.core.report import Event, Happening
from tidelock.core.secrets import masked
from tidelock.errors import PassingFault
from tidelock.postgres.ledger import LedgerUnfit, literal, refuse_no_lease
from tidelock.postgres.records import journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import psycopg

    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink
    from tidelock.postgres.ledger import Ledger
    from tidelock.postgres.records import Author

OURS = ("BEGIN", "SET ", "EXECUTE tidelock", "SELECT CASE WHEN pg_catalog", "COMMIT")
"""How the statements begin that Tidelock puts around those of a file."""

LIFETIME_S = 10.0
"""A run without a sign of life for so long is taken for dead, also when its session is still there."""
PULSE_S = 2.5
"""How often a run gives one."""
MARGIN_S = 4.0
"""A run that could not give one for LIFETIME_S - MARGIN_S starts nothing new."""


class AnotherRunner(PassingFault):
    """Somebody else is applying migrations to this database."""

    code = "T010"

    def __init__(self, holder: Holder, sessions: Sequence[Left], user: str, waited_s: float) -> None:
        at = f" since {holder.since:%H:%M:%S %Z}" if holder.since else ""
        silent = f", no sign of life for {holder.silent_s:.0f} s" if holder.silent_s > 2 * PULSE_S else ""
        hint = "nothing was changed; try again when it is done, or wait longer with `--wait 10m`"
        does = ""
        for each in sessions:
            if each.state == "active":
                does += f"; its session executes a statement ({each})"
            elif holder.silent_s > LIFETIME_S and not (each.may_end and each.state):
                does += f"; its session (pid {each.pid}) could not be ended: {each.lacking(user)}"
                hint = (
                    f"when that run is dead, end its session as {each.user} or as a superuser: "
                    f"SELECT pg_terminate_backend({each.pid}); {each.grant(user)}"
                )
        super().__init__(f"another run is at work: {holder.who}{at}{silent}{does}; waited {waited_s:.0f} s", hint=hint)


class DeadRunnersStatement(PassingFault):
    """The runner before gives no sign of life, and the server is still executing a statement of it."""

    code = "T011"

    def __init__(self, holder: Holder, left: Left, waited_s: float) -> None:
        super().__init__(
            f"the run before ({holder.who}, {holder.silence}) has a statement that still runs ({left}); "
            f"waited {waited_s:.0f} s for its end",
            hint="wait longer with `--wait`, or, when that run is dead, end it: "
            f"SELECT pg_terminate_backend({left.pid})",
        )


class LeaseLost(PassingFault):
    """This run gave no sign of life for too long, and another took over."""

    code = "T012"

    def __init__(self) -> None:
        super().__init__(
            "this run was taken for dead and another took over: it gave no sign of life for "
            f"{LIFETIME_S:.0f} s (a paused process, or a network that hung)",
            hint="nothing of the step at hand was kept; run `tidelock status`, then apply again",
        )


@dataclass(frozen=True, slots=True)
class Holder:
    """The lease as it is."""

    run_id: str | None
    since: datetime | None
    pid: int | None
    backend_start: datetime | None
    who: str
    silent_s: float
    """Seconds since the last sign of life."""
    format: int
    gone: bool
    """Its session is no more. False when it has none of its own, behind a pooler."""

    @property
    def dead(self) -> bool:
        """Somebody holds it, and is at work no more."""
        return self.run_id is not None and (self.gone or self.silent_s > LIFETIME_S)

    @property
    def silence(self) -> str:
        """Why it is taken for dead, as far as that is known."""
        return "its session is gone" if self.gone else f"no sign of life for {self.silent_s:.0f} s"

    @property
    def told(self) -> str:
        """Who, since when, and whether it still gives a sign of life; empty when nobody holds it."""
        if self.run_id is None:
            return ""
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        silent = f", silent for {self.silent_s:.0f} s" if self.silent_s > LIFETIME_S else ""
        return f"{self.who}{since}{', and its session is gone' if self.gone else silent}"


class Left(NamedTuple):
    """A session of a run that holds the lease."""

    pid: int
    state: str | None
    """None when it is another role's, which hides what it does."""
    age_s: float
    query: str
    user: str
    superuser: bool
    """It is a superuser's."""
    may_end: bool
    """Whether we may end it."""

    def __str__(self) -> str:
        return f"pid {self.pid}, for {self.age_s:.0f} s: {own_words(self.query)}"

    def lacking(self, user: str) -> str:
        """The right without which `user` may not end it, or not know whether to."""
        if self.may_end:
            return f"what it does is hidden from {user}, who is no member of pg_read_all_stats"
        if self.superuser:
            return f"{self.user} is a superuser, whose sessions only a superuser may end"
        return f"{user} is neither a member of {self.user} nor of pg_signal_backend and pg_read_all_stats"

    def grant(self, user: str) -> str:
        """What spares that the next time."""
        if self.superuser and not self.may_end:
            return "let runs connect as a role that is no superuser"
        return f'for the next time: GRANT "{self.user}" TO "{user}"'


READ = """
SELECT h.run_id, h.at, h.pid, h.backend_start, h.who, extract(epoch FROM clock_timestamp() - p.at)::float8, h.format,
       CASE WHEN h.pid IS NULL THEN false
            ELSE NOT EXISTS (SELECT FROM pg_stat_activity a
                              WHERE a.pid = h.pid AND coalesce(a.backend_start = h.backend_start, true)) END
  FROM {lease} h, {lease} p WHERE h.part = 'holder' AND p.part = 'pulse'"""

# That the session is no more is asked again here: a balancer may have led READ to a standby, which knows no sessions
# of this server, but never leads an UPDATE there.
TAKE = """
WITH free AS (SELECT part FROM {lease} h WHERE part = 'holder' AND run_id IS NOT DISTINCT FROM %(before)s
                 AND NOT EXISTS (SELECT FROM pg_stat_activity a
                                  WHERE a.pid = h.pid AND coalesce(a.backend_start = h.backend_start, true))
                 FOR UPDATE SKIP LOCKED),
     taken AS (UPDATE {lease} l SET run_id = %(run_id)s, at = clock_timestamp(), pid = %(pid)s, who = %(who)s,
                      backend_start = (SELECT backend_start FROM pg_stat_activity a WHERE a.pid = %(pid)s)
                 FROM free WHERE l.part = free.part RETURNING l.part)
UPDATE {lease} l SET run_id = %(run_id)s, at = clock_timestamp() FROM taken WHERE l.part = 'pulse'"""

PULSE = "UPDATE {lease} SET at = pg_catalog.clock_timestamp() WHERE part = 'pulse' AND run_id = %s"

# Part of every transaction of a run. The cast of words to a number is what makes it fail; LOST recognises it.
FENCE = """
SELECT CASE WHEN pg_catalog.count(*) = 1 THEN 1 ELSE ('tidelock: lease lost ' || pg_catalog.count(*))::int END
  FROM (SELECT 1 FROM {lease} WHERE part = 'holder' AND run_id = %s FOR SHARE) held"""
LOST = "tidelock: lease lost"

RELEASE = """
UPDATE {lease} SET run_id = NULL, at = NULL, pid = NULL, backend_start = NULL, who = NULL
 WHERE part = 'holder' AND run_id = %s"""

# Sessions of a dead run: by its mark in the query text (through a pooler too), or by pid and start of the process.
LEFT = """
SELECT pid, state, coalesce(extract(epoch FROM clock_timestamp() - coalesce(query_start, backend_start)), 0)::float8,
       left(query, 300), coalesce(usename, ''), coalesce(his.rolsuper, false),
       mine.rolsuper OR (coalesce(NOT his.rolsuper, false)
                         AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
  FROM pg_roles mine, pg_stat_activity LEFT JOIN pg_roles his ON his.oid = usesysid
 WHERE mine.rolname = current_user AND pid <> pg_backend_pid()
   AND coalesce(backend_type, 'client backend') = 'client backend'
   AND ((query LIKE %(mark)s AND state <> 'idle')
     OR (pid = %(pid)s AND coalesce(backend_start, %(backend_start)s) = %(backend_start)s))"""


def read(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger) -> Holder:
    """Who holds the lease."""
    row = conn.execute(ledger.fill(READ).encode()).fetchone()
    if row is None:
        refuse_no_lease(ledger)
    run_id, since, pid, backend_start, who, silent, format_, gone = row
    return Holder(
        cast("str | None", run_id),
        cast("None", since),
        cast("int | None", pid),
        cast("None", backend_start),
        cast("str", who or "somebody"),
        cast("float", silent or 0.0),
        cast("int", format_),
        cast("bool", gone),
    )


def acquire(
    conn: psycopg.Connection[tuple[object, ...]],
    ledger: Ledger,
    author: Author,
    *,
    pid: int | None,
    before: str | None,
    detail: Mapping[str, object],
    patience: Patience,
    sink: Sink,
) -> None:
    """Wait for the lease and take it; the journal gets its first line in the same transaction.

    `before` is a run that is known to be dead: this process, before its connection broke. Polls, so that nobody's
    CREATE INDEX CONCURRENTLY has to wait for a transaction of ours.
    Raises AnotherRunner or DeadRunnersStatement when patience runs out.
    """
    started, told, attempt = time.monotonic(), "", 0
    said: set[int] = set()
    while True:
        holder = read(conn, ledger)
        dead = holder.dead or (before is not None and holder.run_id == before)
        if holder.run_id is None or (dead and clear_away(conn, holder, patience, sink, started, said)):
            if take(conn, ledger, author, before=holder.run_id, pid=pid, detail=detail):
                if dead:
                    sink.emit(
                        Event(
                            what=Happening.RECOVERED,
                            text=f"took over from {holder.who}, "
                            + ("whose session is gone" if holder.gone else holder.silence),
                        )
                    )
                return
        elif told != holder.run_id:
            told = holder.run_id
            sink.emit(
                Event(
                    what=Happening.WAITING,
                    text=f"another run is at work: {holder.who}; waiting up to {patience.left_s:.0f} s",
                )
            )
        if not patience.pause(backoff(attempt, first_s=0.05, most_s=1.0)):
            raise AnotherRunner(holder, sessions(conn, holder), conn.info.user, time.monotonic() - started)
        attempt += 1


def take(
    conn: psycopg.Connection[tuple[object, ...]],
    ledger: Ledger,
    author: Author,
    *,
    before: str | None,
    pid: int | None,
    detail: Mapping[str, object],
) -> bool:
    """Try to become the holder after `before`. False when somebody was faster, or still has a transaction open."""
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = off")
        cursor = conn.execute(
            ledger.fill(TAKE).encode(),
            {"before": before, "run_id": author.run_id, "pid": pid, "who": author.who},
        )
        if cursor.rowcount != 1:
            return False
        conn.execute(journal(ledger, author, "run", detail=detail).encode())
    return True


def clear_away(
    conn: psycopg.Connection[tuple[object, ...]],
    holder: Holder,
    patience: Patience,
    sink: Sink,
    started: float,
    said: set[int],
) -> bool:
    """See to it that nothing of a dead run is at work. True when nothing is left.

    A statement that still runs is waited for, since it may be hours of index building; a session that only idles,
    in a transaction or not, is ended, so that a runner that was merely paused cannot go on. `said` are the processes
    that were told of already.
    """
    from psycopg import errors

    left = sessions(conn, holder)
    for each in left:
        if each.state == "active":
            if each.pid not in said:
                said.add(each.pid)
                text = f"the run before ({holder.who}, {holder.silence}) has a statement that still runs"
                sink.emit(Event(what=Happening.WAITING, text=f"{text}; waiting for its end: {each}"))
            if patience.left_s <= 0:
                raise DeadRunnersStatement(holder, each, time.monotonic() - started)
            return False
        if each.state is not None:
            with suppress(errors.InsufficientPrivilege):  # AnotherRunner tells of it
                conn.execute("SELECT pg_terminate_backend(%s)", (each.pid,))
    return not left


def sessions(conn: psycopg.Connection[tuple[object, ...]], holder: Holder) -> list[Left]:
    """The sessions of the run that holds the lease: its own, and those that work for it, through a pooler too."""
    mark = f"/* tidelock run {holder.run_id} */%"
    parameters = {"mark": mark, "pid": holder.pid, "backend_start": holder.backend_start}
    rows = cast("list[tuple[int, str | None, float, str, str, bool, bool]]", conn.execute(LEFT, parameters).fetchall())
    return [Left(*row) for row in rows]


def own_words(query: str) -> str:
    """What a file says in a query of ours: without our mark, and without the statements around it."""
    parts = (part.strip() for part in query.partition("*/")[2].split("\n;"))
    words = next((part for part in parts if part and not part.startswith(OURS)), query)
    return masked(" ".join(words.split()))[:160]


def pulse(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, run_id: str) -> bool:
    """Give a sign of life. False when the lease is another's by now."""
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = off")
        conn.execute("SET LOCAL lock_timeout = '2s'")
        return conn.execute(ledger.fill(PULSE).encode(), (run_id,)).rowcount == 1


MOVE = """
UPDATE {lease} SET pid = %(pid)s, backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = %(pid)s)
 WHERE part = 'holder' AND run_id = %(run_id)s"""


def move(conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, run_id: str, pid: int) -> None:
    """The run goes on in another session of its own. Raises LeaseLost when the lease is another's by now."""
    if conn.execute(ledger.fill(MOVE).encode(), {"pid": pid, "run_id": run_id}).rowcount != 1:
        raise LeaseLost


def fence(ledger: Ledger, run_id: str) -> str:
    """SQL that holds the lease until its transaction ends, and fails it when the lease is another's."""
    return ledger.fill(FENCE) % literal(run_id)


PREPARED_FENCE = "tidelock_fence"


def prepare_fence(ledger: Ledger, run_id: str) -> str:
    """SQL that prepares the fence in a session of our own, to be run as `EXECUTE tidelock_fence`."""
    return f"PREPARE {PREPARED_FENCE} AS {fence(ledger, run_id)}"


@contextmanager
def there(ledger: Ledger) -> Iterator[None]:
    """The lease's table, or the journal, may be gone: the run's last file may have dropped it."""
    from psycopg.errors import UndefinedTable

    try:
        yield
    except UndefinedTable:
        raise LedgerUnfit(
            ledger.name,
            "its lease or its journal is gone: a file of this run drops or renames it",
            "leave it out of the file; the next `tidelock apply` makes the lease anew, or says what to do",
        ) from None


def release(
    conn: psycopg.Connection[tuple[object, ...]], ledger: Ledger, author: Author, detail: Mapping[str, object]
) -> None:
    """Give the lease back with a commit that waits for the disk: with it, all that the run did is durable."""
    with conn.transaction():
        # a file may have made READ ONLY the default
        if conn.info.parameter_status("default_transaction_read_only") != "off":
            conn.execute("SET TRANSACTION READ WRITE")
        # a role may ask for more than `on`, such as remote_apply
        conn.execute("SET LOCAL synchronous_commit TO DEFAULT")
        conn.execute(
            "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
        )
        conn.execute(ledger.fill(RELEASE).encode(), (author.run_id,))
        conn.execute(journal(ledger, author, "finished", detail=detail).encode())
