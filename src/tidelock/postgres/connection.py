"""Connecting: what people know from psql and libpq, and every failure in clear words without a secret."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import psycopg
from psycopg import conninfo

from tidelock.core.report import Event, Happening
from tidelock.errors import DatabaseFault, PassingFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink


class BadConninfo(UsageFault):
    """The connection string cannot be read. Its text is not shown: it may hold a password."""

    code = "U002"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the connection string cannot be read: {why}",
            hint="write postgresql://user@host:5432/database, or host=… dbname=…; in a URL, % encodes what is special "
            "(@ is %40, / is %2F); better, keep the password in PGPASSWORD or ~/.pgpass",
        )


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
        super().__init__(
            f"{target} refused user {user}: {why}",
            hint="check PGUSER and PGPASSWORD (or ~/.pgpass, or the Secret behind them), and pg_hba.conf of the server",
        )


class DatabaseMissing(DatabaseFault):
    """The server is there and the database is not."""

    code = "D002"

    def __init__(self, target: str, name: str) -> None:
        super().__init__(
            f"{target}: there is no database “{name}”",
            hint="check the name, or let it be made: --create-database",
        )


REFUSED_LOGIN = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry"
    r"|role \"[^\"]*\" (?:does not exist|is not permitted)"
    r"|permission denied for database|authentication failed|certificate|SASL|peer authentication|no such user"
    r"|does not support SSL|SSL (?:off|on|connection is required)",
    re.IGNORECASE,
)
NO_DATABASE = re.compile(
    r"database \"(?P<name>[^\"]*)\" does not exist|no such database: (?P<pooled>\S+)", re.IGNORECASE
)
NOT_READY = re.compile(
    r"starting up|shutting down|not yet accepting|not accepting|in recovery"
    r"|too many (?:clients|connections)|remaining connection slots"
    r"|consistent recovery|crash of another|connection limit|server_login_retry|server login has been failing",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, as libpq will understand it. Never printed as a whole: it may hold a password."""

    parameters: Mapping[str, str]

    keep_alive: ClassVar[Mapping[str, str]] = {
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "connect_timeout": "10",
    }

    @property
    def database(self) -> str:
        """The database's name as libpq resolves it: parameter, PGDATABASE, user."""
        return self.parameters.get("dbname") or os.environ.get("PGDATABASE") or self.user

    @property
    def user(self) -> str:
        """The role as libpq resolves it."""
        return self.parameters.get("user") or os.environ.get("PGUSER") or local_user()

    @property
    def host(self) -> str:
        """The host as libpq resolves it; `localhost` for a socket."""
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or os.environ.get("PGHOST") or ""
        return "localhost" if not host or host.startswith("/") else host

    @property
    def port(self) -> str:
        """The port as libpq resolves it."""
        return self.parameters.get("port") or os.environ.get("PGPORT") or "5432"

    @property
    def target(self) -> str:
        """`database@host:port`, for people."""
        service = self.parameters.get("service") or os.environ.get("PGSERVICE")
        if service and not {"host", "dbname"} & self.parameters.keys():
            return f"{self.parameters.get('dbname', 'service')}@{service}"
        return f"{self.database}@{self.host}:{self.port}"

    def to(self, database: str) -> Address:
        """The same server, another database."""
        return Address({**self.parameters, "dbname": database})


def local_user() -> str:
    """The operating system's user, as libpq falls back to."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "postgres"


def address(text: str) -> Address:
    """Read a URL, a conninfo string, or, as in psql, a bare database name. Empty means: what the environment says."""
    if "://" in text and text.partition("://")[2].count("@") > 1:
        raise BadConninfo("more than one @ before the host")
    if text and "://" not in text and "=" not in text:
        return Address({"dbname": text})
    try:
        given = conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        raise BadConninfo("libpq does not understand it") from None
    found = Address({name: str(value) for name, value in given.items() if value is not None})
    if not all(port.isdigit() for port in found.parameters.get("port", "").split(",") if port):
        raise BadConninfo("its port is not a number")
    return found


def connect(where: Address, *, run_id: str, timeout_s: float = 10.0) -> psycopg.Connection[tuple[object, ...]]:
    """Open one connection in autocommit mode. Raises psycopg.OperationalError; `explain_failure` translates it.

    No prepared statements and no `options` in the start packet: a pooler in transaction mode passes on neither.
    """
    parameters = {
        **Address.keep_alive,
        "connect_timeout": str(max(2, min(10, round(timeout_s)))),  # libpq takes 1 for 2
        "application_name": f"tidelock {run_id}",
        **where.parameters,
        "client_encoding": "UTF8",
    }
    return psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True, prepare_threshold=None)


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


def explain_failure(error: psycopg.OperationalError, where: Address, waited_s: float) -> DatabaseFault | PassingFault:
    """Translate what libpq says of a failed connection. Only the server's and the kernel's words are passed on."""
    text = str(error)
    if found := NO_DATABASE.search(text):
        return DatabaseMissing(where.target, found["name"] or found["pooled"])
    if NOT_READY.search(text):
        return ServerNotReady(where.target, first_line(text), waited_s)
    if REFUSED_LOGIN.search(text):
        return LoginRefused(where.target, where.user, first_line(text))
    return ServerUnreachable(where.target, first_line(text), waited_s)


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
