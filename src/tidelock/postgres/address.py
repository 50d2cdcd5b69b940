"""Where a database is, said as people know it from psql and libpq."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tidelock.errors import UsageFault
from tidelock.postgres import libpq

if TYPE_CHECKING:
    from collections.abc import Mapping


class BadConninfo(UsageFault):
    """The connection string cannot be read. Its text is not shown: it may hold a password."""

    code = "U002"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the connection string cannot be read: {why}",
            hint="write postgresql://user@host:5432/database, or host=… dbname=…; in a URL, % encodes what is special "
            "(@ is %40, / is %2F); better, keep the password in PGPASSWORD or ~/.pgpass",
        )


VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "options": "PGOPTIONS",
}
"""Parameter of a connection → the variable by which libpq's programs take it."""


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

    def connecting(self, run_id: str, timeout_s: float = 10.0) -> dict[str, str]:
        """Every parameter of a connection of ours.

        No `options` in the start packet: a pooler in transaction mode does not pass them on.
        """
        return {
            **self.keep_alive,
            "connect_timeout": str(max(2, min(10, round(timeout_s)))),  # libpq takes 1 for 2
            "application_name": f"tidelock {run_id}",
            **self.parameters,
            "client_encoding": "UTF8",
        }

    @property
    def environment(self) -> dict[str, str]:
        """PG* variables for other programs, the password among them."""
        found = {VARIABLES[name]: value for name, value in self.parameters.items() if name in VARIABLES}
        return {**found, "PGDATABASE": self.database}

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
    given = parameters(text)
    if given is None:
        raise BadConninfo("libpq does not understand it")
    found = Address(given)
    ports = [port for port in found.parameters.get("port", "").split(",") if port]
    if not all(port.isascii() and port.isdigit() and 0 < int(port) < 2**16 for port in ports):
        raise BadConninfo("its port is not a number from 1 to 65535")
    hosts = found.parameters.get("host", found.parameters.get("hostaddr", "")).split(",")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise BadConninfo(f"it names {len(ports)} ports for {len(hosts)} hosts")
    if not re.fullmatch(r"-?\d*", found.parameters.get("connect_timeout", "")):
        raise BadConninfo("its connect_timeout is not a number of seconds")
    return found


def parameters(text: str) -> dict[str, str] | None:
    """The parameters in a URL or a conninfo string; None when libpq does not understand it."""
    try:
        return libpq.parameters(text)
    except libpq.Unavailable:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            given = conninfo_to_dict(text)
        except (psycopg.Error, UnicodeError):
            return None
        return {name: str(value) for name, value in given.items() if value is not None}
