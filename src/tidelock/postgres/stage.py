"""The port `Shadows` on a real server: shadow databases, the engine on them, and what is in them."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from tidelock.app.patience import Patience
from tidelock.app.sinks import Silent
from tidelock.core.ddl import document
from tidelock.core.given import NOTHING, Given
from tidelock.errors import DatabaseFault
from tidelock.postgres import contents
from tidelock.postgres import ledger as ledgers
from tidelock.postgres.address import address
from tidelock.postgres.connection import asking, connect
from tidelock.postgres.database import Options, PostgresDatabase
from tidelock.postgres.limits import Limits
from tidelock.postgres.onlookers import Observer, Stopper
from tidelock.postgres.shadow import MAINTENANCE
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tidelock.app.ports import Scene, StepHooks
    from tidelock.core.proof import LockLook, State
    from tidelock.postgres.address import Address
    from tidelock.postgres.shadow import Shadow
    from tidelock.postgres.turn import Hooks

    Connection = psycopg.Connection[tuple[object, ...]]

PATIENCE_S = 30.0
WORD = re.compile(r"[A-Za-z_][\w$-]*")


class SourceUnreadable(DatabaseFault):
    """The schema of the live database could not be read."""

    code = "D022"

    def __init__(self, target: str, why: str) -> None:
        super().__init__(
            f"the schema of {target} cannot be copied: {why.splitlines()[0] if why else 'no reason given'}",
            hint="--from wants a role that may read the catalog, and the extensions of that server here: `--shadow`",
            detail=why,
        )


class Stage:
    """What proofs do with shadow databases. Safe to use from threads."""

    def __init__(
        self,
        shadow: Shadow,
        *,
        outside: Address | None = None,
        ledger: str | None = None,
        hooks: Hooks = lambda *_: (),
        given: Given = NOTHING,
    ) -> None:
        """`outside`: the server as another program reaches it, when that is not by the address of `shadow`.
        `hooks`: who looks on besides those of the proof. `given`: the variables of --set and tidelock.toml."""
        self.given = given
        self.shadow, self.outside, self.ledger, self.hooks = shadow, outside or shadow.where, ledger, hooks
        self._available: frozenset[str] | None = None
        self._lock = threading.Lock()
        self._seen: dict[str, State] = {}
        """The last look at each: a schema that has not changed since is not read again."""
        self._open: dict[str, Connection] = {}
        """Connections for looking, kept as a new one costs as much as the look; closed before a database is copied."""
        self.create = shadow.create
        self.note_roles, self.drop_roles = shadow.note_roles, shadow.drop_roles
        self.take_turn, self.stop = shadow.take_turn, shadow.stop

    @property
    def server(self) -> str:
        """`PostgreSQL 18.6`, with TimescaleDB where the server has it."""
        number = self.shadow.server_version
        return f"PostgreSQL {number // 10000}.{number % 10000}" + self.shadow.timescale

    @property
    def disposable(self) -> bool:
        """The server is there for this run alone."""
        return self.shadow.disposable

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

    def _database(self, name: str, onlooker: Callable[[Scene], StepHooks] | None) -> PostgresDatabase:
        options = Options(
            hooks=lambda turn, pending: (*self.hooks(turn, pending), *((onlooker(turn),) if onlooker else ())),
            ledger=self.ledger,
            limits=Limits(lock_timeout_s=10.0),
            glance=False,
            given=self.given,
        )
        return PostgresDatabase(self.shadow.address(name), Patience(PATIENCE_S), Silent(), options)

    # --- databases ---------------------------------------------------------------------------------------------------

    def clone(self, name: str) -> str:
        """A copy of one."""
        self._leave(name)
        copied = self.shadow.clone(name)
        if name in self._seen:
            self._seen[copied] = self._seen[name]
        return copied

    def drop(self, name: str) -> None:
        """Drop one."""
        self._leave(name)
        self._seen.pop(name, None)
        self.shadow.drop(name)

    def _at(self, name: str) -> Connection:
        """The connection for looking. Each database is one thread's at a time."""
        if name not in self._open or self._open[name].closed:
            self._open[name] = self.shadow.connect(name)
        return self._open[name]

    def _leave(self, name: str) -> None:
        """Close it."""
        if conn := self._open.pop(name, None):
            conn.close()

    # --- what is in them ---------------------------------------------------------------------------------------------

    def state(self, name: str, known: State | None = None, *, once: bool = False) -> State:
        """Schema, rows of tables, sequences. `once`: nobody will look at it again."""
        if self.shadow.timescale:
            self.shadow.quiet(name)
        try:
            if once:
                return contents.state(self._at(name), self.ledger, marked=False)
            self._seen[name] = contents.state(self._at(name), self.ledger, known or self._seen.get(name))
            return self._seen[name]
        finally:
            if self.shadow.timescale:  # an extension may come, go or be updated meanwhile
                self._leave(name)

    def forget(self, name: str, version: int) -> None:
        """Make its ledger believe that a version was never run."""
        conn = self._at(name)
        ledger = ledgers.find(asking(conn), self.ledger)
        conn.execute(ledger.fill("DELETE FROM {ledger} WHERE version = %s").encode(), (version,))
        conn.execute(ledger.fill("DELETE FROM {journal} WHERE version = %s").encode(), (version,))

    def environment(self, name: str) -> Mapping[str, str]:
        """DATABASE_URL and PG* for a program that is to use it."""
        where = self.outside.to(name)
        given = where.parameters
        user, password = where.user, given.get("password", "")
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        host, port = given.get("host", "localhost"), given.get("port", "5432")
        query = f"?{urlencode({'host': host, 'port': port})}" if host.startswith("/") else ""
        url = f"postgresql://{login}@{'' if query else f'{host}:{port}'}/{name}{query}"
        return {"PGHOST": host, "PGPORT": port, "PGUSER": user, **where.environment, "DATABASE_URL": url}

    # --- a live database's schema ------------------------------------------------------------------------------------

    def copy_of(self, source: str, named: Iterable[str] = ()) -> str:
        """A database with the schema and the ledger of another server's; returns its name. Raises SourceUnreadable.

        Roles of that server that the schema or `named` mention are made here, without a right to log in.
        """
        where = address(source)
        try:
            with connect(where, run_id=f"shadow {self.shadow.run_id} source") as live:
                schema = document.text(take(live))
                self.make_roles(live, {*WORD.findall(schema), *named})
                return self.filled(live, schema)
        except psycopg.Error as error:
            raise SourceUnreadable(where.target, str(error).strip()) from None

    def make_roles(self, live: Connection, named: set[str]) -> None:
        """Those of the live server that are named and missing here; they go with the shadow."""
        there = {str(name) for (name,) in live.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'")}
        missing = (there & named) - self.shadow.roles()
        with self.shadow.connect(MAINTENANCE) as conn:
            for name in sorted(missing):
                conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        self.shadow.note_roles(missing)

    def made_of(self, schema: str) -> str:
        """A database with a schema that is given as SQL. Raises SourceUnreadable."""
        name = self.create()
        try:
            with self.shadow.connect(name) as copy:
                copy.execute(schema.encode())
        except psycopg.Error as error:
            raise SourceUnreadable("the snapshot", str(error).strip()) from None
        return name

    def filled(self, live: Connection, schema: str) -> str:
        """A new database with this schema, and the ledger's rows."""
        name = self.made_of(schema)
        database = self.database(name)
        with closing(database):  # the ledger as this version makes it, empty
            database.observe()
            with database.lease([], 0, {}):
                pass
        with self.shadow.connect(name) as copy:
            copy_ledger(live, copy, self.ledger)
        return name


def copy_ledger(live: Connection, copy: Connection, configured: str | None) -> None:
    """Its rows: what was applied, and what of a file was done."""
    ledger, mine = ledgers.find(asking(live), configured), ledgers.find(asking(copy), configured)
    if not ledger.exists:
        return
    columns = [name for name in ledger.columns if name in mine.columns]
    copy_rows(live, copy, (ledger.schema, ledger.table), (mine.schema, mine.table), columns)
    if ledger.format:
        names = ["run_id", "event", "version", "step", "digest", "statement", "at", "detail"]
        journals = [(each.schema, f"{each.table}_journal") for each in (ledger, mine)]
        copy_rows(live, copy, journals[0], journals[1], names)


def copy_rows(
    live: Connection, copy: Connection, table: tuple[str, str], to: tuple[str, str], columns: Sequence[str]
) -> None:
    """All rows of a table."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    source = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, sql.Identifier(*table))
    target = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(*to), names)
    with live.cursor().copy(source) as rows, copy.cursor().copy(target) as into:
        for chunk in rows:
            into.write(chunk)
