"""Where a database is, said as people know it from psql and libpq."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tidelock.errors import UsageFault
from tidelock.postgres import libpq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class BadConninfo(UsageFault):
    """The connection string cannot be read. Its text is not shown: it may hold a password."""

    code = "U002"

    def __init__(self, why: str, source: str = "", setting: str = "") -> None:
        """`source` is where the string stands; `setting` a variable by which libpq got the bad value instead."""
        if setting:
            super().__init__(f"{setting} cannot be used: {why}", hint=f"mend {setting}, or unset it")
            return
        place = f" in {source}" if source else ""
        super().__init__(
            f"the connection string{place} cannot be read: {why}",
            hint="write postgresql://user@host:5432/database, or host=… dbname=…; in a URL, % encodes what is special "
            "(@ is %40, / is %2F); better, keep the password in PGPASSWORD or ~/.pgpass",
        )


SCHEMES = ("postgresql", "postgres")
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
        """The database's name as libpq resolves it: as `given`, or the user's."""
        return self.given("dbname", "PGDATABASE") or self.user

    @property
    def user(self) -> str:
        """The role as libpq resolves it."""
        return self.given("user", "PGUSER") or local_user()

    @property
    def host(self) -> str:
        """The host as libpq resolves it; `localhost` for a socket."""
        host = self.given("host", "PGHOST") or self.given("hostaddr", "PGHOSTADDR")
        return "localhost" if not host or host.startswith("/") else host

    @property
    def port(self) -> str:
        """The port as libpq resolves it."""
        return self.given("port", "PGPORT") or "5432"

    @property
    def target(self) -> str:
        """`database@host:port`, for people."""
        service = self.service
        if service and not self.of_service and not {"host", "dbname"} & self.parameters.keys():
            return f"service@{service}"
        return f"{self.database}@{self.host}:{self.port}"

    @property
    def service(self) -> str:
        """The section of a service file that fills in what the parameters leave open."""
        return self.parameters.get("service") or os.environ.get("PGSERVICE") or ""

    @property
    def of_service(self) -> Mapping[str, str]:
        """What that section says."""
        return in_service_file(self.service) if self.service else {}

    def given(self, parameter: str, variable: str) -> str:
        """A parameter in libpq's order: connection string, service file, environment."""
        return self.parameters.get(parameter) or self.of_service.get(parameter) or os.environ.get(variable) or ""

    def connecting(self, run_id: str, timeout_s: float = 10.0) -> dict[str, str]:
        """Every parameter of a connection of ours.

        No `options` in the start packet: a pooler in transaction mode does not pass them on. Where a service file leads
        is said as well: psycopg would resolve PGHOST.
        """
        return {
            **self.keep_alive,
            "connect_timeout": str(max(2, min(10, round(timeout_s)))),  # libpq takes 1 for 2
            "application_name": f"tidelock {run_id}",
            **{name: value for name, value in self.of_service.items() if name in ("host", "hostaddr", "port")},
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


def in_service_file(name: str) -> Mapping[str, str]:
    """What a section of the user's or the system's service file says; nothing where libpq alone finds it.

    https://www.postgresql.org/docs/current/libpq-pgservice.html
    """
    own = os.environ.get("PGSERVICEFILE") or os.path.expanduser("~/.pg_service.conf")  # noqa: PTH111 - as it is
    system = os.environ.get("PGSYSCONFDIR")
    for path in (own, f"{system}/pg_service.conf" if system else ""):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if path else []
        except OSError:
            continue
        if found := section(lines, name):
            return found
    return {}


def section(lines: Sequence[str], name: str) -> Mapping[str, str]:
    """The settings below `[name]`."""
    inside, found = False, dict[str, str]()
    for line in map(str.strip, lines):
        if line.startswith("["):
            if inside:
                break
            inside = line == f"[{name}]"
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key.strip(), value.strip())
    return found


def local_user() -> str:
    """The operating system's user, as libpq falls back to."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "postgres"


def address(text: str, source: str = "") -> Address:
    """Read a URL, a conninfo string, or, as in psql, a bare database name. Empty means: what the environment says.

    `source` says where the text stands.
    """
    if not encodable(text):
        raise BadConninfo("it has bytes that are not UTF-8", source)
    scheme, _, rest = text.partition("://")
    if rest and re.fullmatch(r"[\w+.:-]+", scheme) and scheme not in SCHEMES:
        raise BadConninfo(f"it begins with {scheme}://, and libpq knows {' and '.join(SCHEMES)}", source)
    if rest.count("@") > 1:
        raise BadConninfo("more than one @ before the host", source)
    if text and "://" not in text and "=" not in text:
        return Address({"dbname": text})
    given = parameters(text)
    if given is None:
        raise BadConninfo(why_unreadable(text), source)
    return checked(given, source)


def encodable(text: str) -> bool:
    """Whether it is UTF-8: arguments of other bytes come as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why_unreadable(text: str) -> str:
    """The word that libpq stumbles over, where that cannot be a part of a password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(text)
    except (psycopg.Error, UnicodeError) as error:
        if found := re.search(r'invalid (?:connection option|URI query parameter:) "(\w+)"', str(error)):
            return f"libpq knows no “{found[1]}”"
    return "libpq does not understand it"


def checked(given: Mapping[str, str], source: str = "") -> Address:
    """Parameters with what libpq itself would find out too late, or retry for ever. Raises BadConninfo."""
    if bad := next((name for name, value in given.items() if not encodable(value)), ""):
        raise BadConninfo(f"its {bad} has bytes that are not UTF-8", source)
    found = Address(given)
    ports = [port for port in found.parameters.get("port", "").split(",") if port]
    if not all(port.isascii() and port.isdigit() and 0 < int(port) < 2**16 for port in ports):
        raise BadConninfo("its port is not a number from 1 to 65535", source)
    hosts = found.parameters.get("host", found.parameters.get("hostaddr", "")).split(",")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise BadConninfo(f"it names {len(ports)} ports for {len(hosts)} hosts", source)
    if not re.fullmatch(r"-?\d*", found.parameters.get("connect_timeout", "")):
        raise BadConninfo("its connect_timeout is not a number of seconds", source)
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
