"""Connecting, and every failure of it in clear words without a secret."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo

from tidelock.core.report import Event, Happening
from tidelock.errors import DatabaseFault, PassingFault, TidelockError
from tidelock.postgres.address import BadConninfo
from tidelock.postgres.libpq import PATIENT

if TYPE_CHECKING:
    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink
    from tidelock.postgres.address import Address
    from tidelock.postgres.ledger import Ask


class ServerUnreachable(PassingFault):
    """Nobody answers at the address, or the name is not known (yet)."""

    code = "T001"

    def __init__(self, target: str, why: str, waited_s: float) -> None:
        super().__init__(
            f"{target}: {why}" + (f", after {waited_s:.0f} s of trying" if waited_s >= 1 else ""),
            hint="check host and port, and that the server runs; `--wait 5m` waits longer for one that is starting",
        )


class ServerNotReady(PassingFault):
    """The server answers and takes no connections: it starts, stops, recovers, or is full."""

    code = "T002"

    def __init__(self, target: str, why: str, waited_s: float) -> None:
        super().__init__(
            f"{target} takes no connection: {why}" + (f", after {waited_s:.0f} s of trying" if waited_s >= 1 else ""),
            hint="try again soon; `--wait 5m` waits longer",
        )


class LoginRefused(DatabaseFault):
    """User, password, pg_hba.conf or a right to connect."""

    code = "D001"

    def __init__(self, target: str, user: str, why: str) -> None:
        message = f"{target} refused user {user}: {why}"
        hint = "check PGUSER and PGPASSWORD (or ~/.pgpass, or the Secret behind them), and pg_hba.conf of the server"
        if "SSL was required" in why or "SSL connection is required" in why:
            message = f"{target}: {why}"
            hint = "set sslmode (PGSSLMODE) to what the server offers, or switch its TLS on: `ssl = on`"
        if found := re.search(CLOSED, why):
            message = f"{target}: {why}"
            hint = f'as a superuser: ALTER DATABASE "{found[1]}" ALLOW_CONNECTIONS true; or name another database'
        super().__init__(message, hint=hint)


class DatabaseMissing(DatabaseFault):
    """The server is there and the database is not."""

    code = "D002"

    def __init__(self, target: str, name: str) -> None:
        super().__init__(
            f"{target}: there is no database “{name}”",
            hint="check the name, or let it be made: `tidelock apply --create-database`",
        )


CLOSED = r'database "(.*)" is not currently accepting connections'
REFUSED_LOGIN = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry"
    r"|role \"[^\"]*\" (?:does not exist|is not permitted)"
    r"|permission denied for database|authentication failed|certificate|SASL|peer authentication|no such user"
    r"|does not support SSL|SSL (?:off|on|connection is required)",
    re.IGNORECASE,
)
SECRET = ("PGPASSWORD", "PGPASSFILE")
NO_DATABASE = re.compile(r"database \"(?P<name>.*)\" does not exist|no such database: (?P<pooled>\S+)", re.IGNORECASE)
BAD_SETTING = re.compile(
    r"definition of service .* not found|service file .* not found|syntax error in service file"
    r"|invalid (?:\w+ )?value|invalid port number|could not match \d+|invalid connection option"
    r"|unrecognized configuration parameter|invalid command-line argument"
)
"""Of the connection string, a PG* variable or PGOPTIONS. Waiting changes nothing."""
NOT_READY = re.compile(
    r"starting up|shutting down|not yet accepting|not accepting|in recovery"
    r"|too many (?:clients|connections)|remaining connection slots"
    r"|consistent recovery|crash of another|connection limit|server_login_retry|server login has been failing",
    re.IGNORECASE,
)


def connect(where: Address, *, run_id: str, timeout_s: float = 10.0) -> psycopg.Connection[tuple[object, ...]]:
    """Open one connection in autocommit mode. Raises psycopg.OperationalError; `explain_failure` translates it.

    No prepared statements: a pooler in transaction mode may not know them.
    """
    parameters = where.connecting(run_id, timeout_s)
    return psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True, prepare_threshold=None)


def asking(conn: psycopg.Connection[tuple[object, ...]]) -> Ask:
    """A function from a query that returns one cell of JSON to its value."""

    def ask(query: str) -> Any:
        cursor = conn.execute((PATIENT + query).encode())
        row = cursor.fetchone() if cursor.nextset() else None
        assert row is not None, "it returns one row"
        return row[0]

    return ask


def connect_patiently(
    where: Address, patience: Patience, sink: Sink, *, run_id: str
) -> psycopg.Connection[tuple[object, ...]]:
    """Connect, and wait within the budget for a server that is not there yet. Raises a TidelockError."""
    attempt, started, last_told = 0, time.monotonic(), 0.0
    while True:
        try:
            tried = time.monotonic()
            return connect(where, run_id=run_id, timeout_s=patience.left_s)
        except psycopg.OperationalError as error:
            patience.spend(time.monotonic() - tried)
            waited = time.monotonic() - started
            fault = explain_failure(error, where, waited)
            if not isinstance(fault, PassingFault) or patience.left_s <= 0:
                raise fault from None
            if waited - last_told >= 5 or attempt == 1:
                sink.emit(
                    Event(
                        what=Happening.WAITING,
                        text=f"waiting for {where.target}: {first_line(str(error))} ({patience.left_s:.0f} s left)",
                    )
                )
                last_told = waited
            patience.pause(min(2.0, 0.1 * 2 ** min(attempt, 8)))
            attempt += 1


def explain_failure(error: psycopg.OperationalError, where: Address, waited_s: float) -> TidelockError:
    """Translate what libpq says of a failed connection. Only the server's and the kernel's words are passed on."""
    text = str(error)
    if BAD_SETTING.search(text):
        why = first_line(text).removeprefix("connection is bad: ")
        return BadConninfo(why, setting=setting_of(why, where))
    if found := NO_DATABASE.search(text):
        return DatabaseMissing(where.target, found["name"] or found["pooled"])
    if re.search(CLOSED, text):
        return LoginRefused(where.target, where.user, first_line(text))
    if NOT_READY.search(text):
        return ServerNotReady(where.target, first_line(text), waited_s)
    if REFUSED_LOGIN.search(text):
        return LoginRefused(where.target, where.user, first_line(text))
    socket = re.search(r'connection to server on socket "([^"]+)"', text)
    return ServerUnreachable(where.target, first_line(text) + (f" ({socket[1]})" if socket else ""), waited_s)


def setting_of(why: str, where: Address) -> str:
    """The PG* variable that has the word libpq or the server complains of; empty when the address has it."""
    words = re.findall(r'"([^"]+)"', why)
    if any(word in value for word in words for name, value in where.parameters.items() if name != "password"):
        return ""
    variables = {name: value for name, value in os.environ.items() if name.startswith("PG") and name not in SECRET}
    return next((name for word in words for name, value in variables.items() if word in value), "")


def first_line(text: str) -> str:
    """The part of libpq's message that tells something: without the address that we print ourselves."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("- ")]
    line = next((each for each in lines if "FATAL" in each), lines[0] if lines else "no reason given")
    found = re.search(r".*(?:FATAL:\s*|failed: |error: )(?!connection to)(?P<why>.*)$", line)
    return (found["why"] if found else line).strip()


def create_database(where: Address, patience: Patience, sink: Sink, *, run_id: str) -> None:
    """CREATE DATABASE through the maintenance database `postgres` (or template1), as createdb does."""
    for maintenance in ("postgres", "template1"):
        try:
            with connect_patiently(where.to(maintenance), patience, sink, run_id=run_id) as conn:
                name = psycopg.sql.Identifier(where.database)
                try:
                    conn.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return  # another runner was faster
                except psycopg.errors.InsufficientPrivilege:
                    raise CannotCreateDatabase(where.target, where.database, where.user) from None
                sink.emit(Event(what=Happening.NOTE, text=f"database {where.database} created"))
                return
        except DatabaseMissing:
            continue


class CannotCreateDatabase(DatabaseFault):
    """--create-database without the right to."""

    code = "D003"

    def __init__(self, target: str, name: str, user: str) -> None:
        super().__init__(
            f"{target}: {user} may not create the database “{name}”",
            hint=f'as a superuser: CREATE DATABASE "{name}" OWNER "{user}"; or ALTER ROLE "{user}" CREATEDB',
        )
