"""The port `Shadows` on a real server: shadow databases, the engine on them, and what is in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from psycopg import sql

from tidelock.app.patience import Patience
from tidelock.app.proving.context import Silent
from tidelock.errors import DatabaseFault
from tidelock.postgres import contents
from tidelock.postgres import ledger as ledgers
from tidelock.postgres.address import address
from tidelock.postgres.connection import asking, connect
from tidelock.postgres.database import Options, PostgresDatabase
from tidelock.postgres.limits import Limits
from tidelock.postgres.onlookers import Observer, Stopper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from tidelock.app.ports import StepHooks
    from tidelock.core.proof import LockLook, State
    from tidelock.postgres.address import Address
    from tidelock.postgres.session import Session
    from tidelock.postgres.shadow import Shadow

    Connection = psycopg.Connection[tuple[object, ...]]

PATIENCE_S = 30.0
LEDGER_PARTS = ("", "_journal", "_lease")


class SourceUnreadable(DatabaseFault):
    """The schema of the live database could not be read."""

    code = "D022"

    def __init__(self, target: str, why: str) -> None:
        super().__init__(
            f"the schema of {target} cannot be copied: {why.splitlines()[0] if why else 'no reason given'}",
            hint="--from wants a role that may read the catalog, and a pg_dump that is not older than that server",
            detail=why,
        )


class Stage:
    """What proofs do with shadow databases. Safe to use from threads."""

    def __init__(self, shadow: Shadow, *, outside: Address | None = None, ledger: str | None = None) -> None:
        """`outside`: the server as another program reaches it, when that is not by the address of `shadow`."""
        self.shadow, self.outside, self.ledger = shadow, outside or shadow.where, ledger
        self.pg_dump = shutil.which("pg_dump") or "pg_dump"
        self._available: frozenset[str] | None = None
        self._lock = threading.Lock()
        self.create, self.clone, self.drop = shadow.create, shadow.clone, shadow.drop
        self.note_roles, self.drop_roles, self.take_turn = shadow.note_roles, shadow.drop_roles, shadow.take_turn

    @property
    def server(self) -> str:
        """`PostgreSQL 18.6`, with TimescaleDB where the server has it."""
        number = self.shadow.server_version
        return f"PostgreSQL {number // 10000}.{number % 10000}" + self.shadow.timescale

    @property
    def roles(self) -> frozenset[str]:
        """Roles that were there before."""
        return self.shadow.roles_before

    def available(self) -> frozenset[str]:
        """Extensions that can be created here."""
        with self._lock:
            if self._available is None:
                self._available = self.shadow.available()
            return self._available

    # --- the engine --------------------------------------------------------------------------------------------------

    def database(self, name: str) -> PostgresDatabase:
        """The port to one, as `apply` uses it."""
        return self._database(name, None)

    def stopping(self, name: str, step: int, statement: int | None) -> PostgresDatabase:
        """The same, whose client dies at that place."""
        return self._database(name, partial(Stopper, step=step, statement=statement))

    def looking(self, name: str, looks: list[LockLook]) -> PostgresDatabase:
        """The same, which notes what each statement locks."""
        return self._database(name, partial(Observer, looks=looks))

    def _database(self, name: str, hooks: Callable[[Session], StepHooks] | None) -> PostgresDatabase:
        options = Options(hooks=hooks, ledger=self.ledger, limits=Limits(lock_timeout_s=10.0))
        return PostgresDatabase(self.shadow.address(name), Patience(PATIENCE_S), Silent(), options)

    # --- what is in them ---------------------------------------------------------------------------------------------

    def state(self, name: str, known: State | None = None) -> State:
        """Schema, rows of small tables, sequences."""
        if self.shadow.timescale:
            self.shadow.quiet(name)
        with self.shadow.connect(name) as conn:
            return contents.state(conn, self.ledger, known)

    def forget(self, name: str, version: int) -> None:
        """Make its ledger believe that a version was never run."""
        with self.shadow.connect(name) as conn:
            ledger = ledgers.find(asking(conn), self.ledger)
            conn.execute(ledger.fill("DELETE FROM {ledger} WHERE version = %s").encode(), (version,))
            conn.execute(ledger.fill("DELETE FROM {journal} WHERE version = %s").encode(), (version,))

    def environment(self, name: str) -> Mapping[str, str]:
        """DATABASE_URL and PG* for a program that is to use it."""
        given = self.outside.to(name).parameters
        user, password = given.get("user", self.outside.user), given.get("password", "")
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        host, port = given.get("host", "localhost"), given.get("port", "5432")
        query = f"?{urlencode({'host': host, 'port': port})}" if host.startswith("/") else ""
        where = "" if query else f"{host}:{port}"
        found = {
            "DATABASE_URL": f"postgresql://{login}@{where}/{name}{query}",
            "PGHOST": host,
            "PGPORT": port,
            "PGUSER": user,
            "PGDATABASE": name,
        }
        return {**found, "PGPASSWORD": password} if password else found

    # --- a live database's schema ------------------------------------------------------------------------------------

    def copy_of(self, source: str) -> str:
        """A database with the schema and the ledger of another server's; returns its name. Raises SourceUnreadable."""
        where = address(source)
        dumped = self.dump(where)
        name = self.create()
        with connect(where, run_id=f"shadow {self.shadow.run_id} source") as live, self.shadow.connect(name) as copy:
            copy.execute("SET check_function_bodies = off")
            copy.execute(dumped.encode())
            copy.execute("RESET ALL")
            copy_ledger(live, copy, self.ledger)
        return name

    def dump(self, where: Address) -> str:
        """The schema as SQL, without owners and grants: their roles are not here."""
        parameters = {**where.parameters, "dbname": where.database}
        words = " ".join(f"{key}='{escaped(value)}'" for key, value in parameters.items() if key != "password")
        environment = {
            **os.environ,
            **({"PGPASSWORD": where.parameters["password"]} if "password" in parameters else {}),
        }
        try:
            done = subprocess.run(
                [self.pg_dump, "--schema-only", "--no-owner", "--no-privileges", "--dbname", words],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise SourceUnreadable(where.target, f"{self.pg_dump}: {error.strerror}") from None
        if done.returncode:
            raise SourceUnreadable(where.target, done.stderr.strip())
        lines = done.stdout.splitlines()
        return "\n".join(line for line in lines if not line.startswith(("\\", "CREATE SCHEMA public;")))


def escaped(value: str) -> str:
    """A value for a conninfo string."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


def copy_ledger(live: Connection, copy: Connection, configured: str | None) -> None:
    """Its rows as well; nobody holds the lease of a copy."""
    ledger = ledgers.find(asking(live), configured)
    if not ledger.exists:
        return
    for part in LEDGER_PARTS if ledger.format else LEDGER_PARTS[:1]:
        table = sql.Identifier(ledger.schema, ledger.table + part)
        with (
            live.cursor().copy(sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(table)) as rows,
            copy.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as into,
        ):
            for chunk in rows:
                into.write(chunk)
    if ledger.format:
        free = ledger.fill("UPDATE {lease} SET run_id = NULL, at = NULL, pid = NULL, backend_start = NULL, who = NULL")
        copy.execute(free.encode())


def embedded_dump(programs: Path) -> str:
    """The embedded server's own pg_dump, or the one on the path when the wheel has none."""
    found = programs / "pg_dump"
    return str(found) if found.exists() else shutil.which("pg_dump") or "pg_dump"
