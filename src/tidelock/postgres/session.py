"""One connection to the server, and what a migration may rely on in it."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, generators, pq
from psycopg.waiting import Wait

from tidelock.errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

    from tidelock.core.statement import Statement

    Connection = psycopg.Connection[tuple[object, ...]]

CANCEL_S = 2.0
UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"
GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY)


@dataclass(frozen=True, slots=True)
class Rows:
    """What one statement returned: its command tag, and rows as text when it has any."""

    tag: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()


class BatchFailed(Exception):
    """One of several statements sent together failed."""

    def __init__(self, index: int, ran: int, error: psycopg.Error, texts: Sequence[str]) -> None:
        super().__init__(str(error))
        self.index = index
        """Which of them, from 0."""
        self.ran = ran
        """How many were done before; 0 when the server could not even read one of them."""
        self.error = error
        self.texts = texts
        self.sent: tuple[Statement | None, ...] = ()
        """For each text the statement of the file that it is, or None; filled in by the executor."""


class Session:
    """A connection that sends simple queries, as psql does, and says which statement of several failed."""

    def __init__(self, conn: Connection, run_id: str, target: str) -> None:
        self.conn = conn
        self.target = target
        self.tag = f"/* tidelock run {run_id} */ "
        """Goes before every statement, so that pg_stat_activity tells whose it is, through a pooler too."""
        self.sent_at = 0.0
        """Monotonic time at which the statement that runs now was sent; 0 when none runs."""
        self.texts: Sequence[str] = ()
        """The statements that were sent together last."""
        self.answered: list[PGresult] = []
        """Their results so far. The one after them runs now: a notice belongs to it."""
        self.dirty = False
        """Something of a migration may be left in the session."""
        self.lent = False
        """It is a pooler's: locks that outlive a transaction must not."""

    def run(self, statements: Sequence[str]) -> list[Rows]:
        """Send statements as one simple query: what each returned. Raises as `results` does."""
        self.send(statements)
        return [rows_of(result) for result in self.results()]

    def send(self, statements: Sequence[str]) -> None:
        """Send statements as one simple query, and go on; `results` waits for its end.

        The newline before the semicolon closes a `--` comment at a statement's end.
        """
        self.texts, self.answered, self.sent_at = statements, [], time.monotonic()
        with self._guarded():
            self.conn.pgconn.send_query((self.tag + "\n;".join(statements)).encode())
            self.conn.wait(generators.send(self.conn.pgconn))

    def results(self) -> list[PGresult]:
        """libpq's result for each statement that was sent.

        Raises BatchFailed with the number of the one that failed, ConnectionLost when nobody answers any more.
        """
        try:
            with self._guarded():
                self.conn.wait(self._fetch())
        finally:
            self.sent_at = 0.0
        if self.answered and self.answered[-1].status not in GOOD:
            error = errors.error_from_result(self.answered[-1], "utf-8")
            self.lost_if_fatal(error)
            raise BatchFailed(self._pointed_at(error), len(self.answered) - 1, error, self.texts)
        return self.answered

    def _pointed_at(self, error: psycopg.Error) -> int:
        """The statement that failed: a syntax error is found before any of them runs, and its position tells."""
        last = len(self.answered) - 1
        if error.diag.statement_position is None:
            return last
        left = int(error.diag.statement_position) - 1 - len(self.tag)
        for index, text in enumerate(self.texts):
            if left <= len(text) + 1:
                return index
            left -= len(text) + 2
        return last

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            self.lost_if_fatal(error)
            raise

    def lost_if_fatal(self, error: psycopg.Error) -> None:
        """FATAL and PANIC end the connection; so does an error of the network."""
        severity = error.diag.severity_nonlocalized
        if severity in ("FATAL", "PANIC") or (severity is None and self.broken):
            self.conn.close()
            words = (error.diag.message_primary or str(error)).strip().splitlines()
            raise ConnectionLost(self.target, words[0] if words else "no answer") from None

    def _fetch(self) -> PQGen[None]:
        pgconn = self.conn.pgconn
        while (result := (yield from generators.fetch(pgconn))) is not None:
            self.answered.append(result)
            if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                yield from self._refuse_copy(result.status)

    def _refuse_copy(self, status: int) -> PQGen[None]:
        """A COPY that the script's reader did not see: end it, so that the connection stays usable."""
        if status == pq.ExecStatus.COPY_IN:
            yield from generators.copy_end(self.conn.pgconn, b"Tidelock has no data for this COPY")
        elif status == pq.ExecStatus.COPY_OUT:
            yield from self._pass_over()
        else:
            self.conn.pgconn.finish()

    def _pass_over(self) -> PQGen[None]:
        """COPY … TO STDOUT: what it sends is for nobody. Its end comes as a result of its own."""
        pgconn = self.conn.pgconn
        self.answered.pop()
        while (sent := pgconn.get_copy_data(1)[0]) >= 0:
            if sent == 0:
                yield Wait.R
                pgconn.consume_input()

    def copy(self, statement: str, data: str) -> Rows:
        """COPY … FROM STDIN with its data. Raises as `results` does."""
        self.answered, self.sent_at = [], time.monotonic()
        try:
            with self.conn.cursor() as cursor:
                with cursor.copy((self.tag + statement).encode()) as copy:
                    for start in range(0, len(data), 1 << 16):
                        copy.write(data[start : start + (1 << 16)].encode(errors="surrogateescape"))
                return Rows(cursor.statusmessage or "COPY")
        except psycopg.Error as error:
            self.lost_if_fatal(error)
            raise BatchFailed(0, 0, error, (statement,)) from error
        finally:
            self.sent_at = 0.0

    def renew(self, conn: Connection) -> None:
        """Go on with another connection; this one is closed."""
        self.conn.close()
        self.conn = conn

    @property
    def status(self) -> int:
        """libpq's transaction status."""
        return self.conn.pgconn.transaction_status

    @property
    def tags(self) -> list[str]:
        """The command tags of what was answered last."""
        return [rows_of(each).tag for each in self.answered]

    @property
    def in_transaction(self) -> bool:
        """A transaction is open (or failed and waits for its ROLLBACK)."""
        return self.conn.pgconn.transaction_status in (
            pq.TransactionStatus.INTRANS,
            pq.TransactionStatus.INERROR,
        )

    @property
    def broken(self) -> bool:
        """The connection is gone."""
        return bool(self.conn.closed) or self.conn.pgconn.status != pq.ConnStatus.OK

    def stop(self) -> None:
        """Cancel what was sent and is not at its end, and take what it answers."""
        if not self.broken and self.conn.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            self.conn.cancel_safe(timeout=CANCEL_S)
            with suppress(BatchFailed):
                self.results()

    def rollback(self) -> None:
        """End an open transaction, if the connection is still there."""
        self.stop()
        if not self.broken and self.in_transaction:
            self.run(["ROLLBACK", UNLOCK] if self.lent else ["ROLLBACK"])


def rows_of(result: PGresult) -> Rows:
    """A libpq result as text."""
    tag = (result.command_status or b"").decode()
    if result.status != pq.ExecStatus.TUPLES_OK:
        return Rows(tag)
    columns = tuple((result.fname(i) or b"").decode() for i in range(result.nfields))
    rows = tuple(
        tuple(
            None if (value := result.get_value(row, column)) is None else value.decode(errors="replace")
            for column in range(result.nfields)
        )
        for row in range(result.ntuples)
    )
    return Rows(tag, columns, rows)


def prelude(*, server_version: int, local: bool, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> list[str]:
    """SET statements that give a migration its surroundings, whatever role and database have as defaults.

    With `local` they last for one transaction, as a pooler needs; otherwise for the session. synchronous_commit is
    off because the order in the WAL keeps ledger and effect together; the run ends with one commit that waits for
    the disk (`lease.release`).
    """
    word = "SET LOCAL" if local else "SET"
    statements = [
        f"{word} lock_timeout = {lock_timeout_ms}",
        f"{word} statement_timeout = {statement_timeout_ms}",
        f"{word} idle_in_transaction_session_timeout = 0",
        f"{word} synchronous_commit = off",
    ]
    if server_version >= 170000:
        statements.append(f"{word} transaction_timeout = 0")
    if server_version >= 140000 and not local:
        statements.append(f"{word} idle_session_timeout = 0")
    return statements
