"""Throw-away databases on one server: made, cloned, dropped, and swept away after a run that was killed.

A name is `tidelock_shadow_RUN_N`. A run is alive as long as its maintenance session is: databases whose run has none
are left over. Roles belong to the cluster: those that a run's migrations made stand in the comment of its
databases, so that the next run can drop them as well.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

import psycopg
from psycopg import errors, sql

from tidelock.errors import DatabaseFault, PassingFault, TidelockError
from tidelock.postgres.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.postgres.address import Address

    Connection = psycopg.Connection[tuple[object, ...]]

PREFIX = "tidelock_shadow_"
MAINTENANCE = "postgres"
LEFT = 24
"""How many databases that nobody needs may stay on a server that is thrown away: each is some 8 MB."""
BUSY_S = 10.0
"""How long to wait until a database that is to be cloned has no session left."""

LEFT_OVER = """
SELECT d.datname, coalesce(shobj_description(d.oid, 'pg_database'), '')
  FROM pg_database d
 WHERE starts_with(d.datname, %(prefix)s) AND pg_has_role(d.datdba, 'MEMBER')
   AND NOT EXISTS (
         SELECT FROM pg_stat_activity a
          WHERE a.application_name = 'tidelock shadow ' || split_part(substr(d.datname, %(after)s), '_', 1))"""
MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
ROLES = "SELECT rolname FROM pg_roles WHERE NOT starts_with(rolname, 'pg_')"
EXTENSIONS = "SELECT name FROM pg_available_extensions"
TIMESCALE = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
TURN = "SELECT pg_try_advisory_lock(hashtext(%s))"
DROP_DATABASE = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
DROP_ROLE = sql.SQL("DROP ROLE IF EXISTS {}")
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'"""
# What a database has beside its files, and what CREATE DATABASE does not copy. Only a superuser may: others have none.
SETTINGS_OF = """
INSERT INTO pg_catalog.pg_db_role_setting (setdatabase, setrole, setconfig)
SELECT c.oid, s.setrole, s.setconfig
  FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database t ON t.oid = s.setdatabase
  JOIN pg_catalog.pg_database c ON c.datname = %(copied)s
 WHERE t.datname = %(template)s"""
GRANTS_OF = """
UPDATE pg_catalog.pg_database c SET datacl = t.datacl FROM pg_catalog.pg_database t
 WHERE t.datname = %(template)s AND c.datname = %(copied)s AND t.datacl IS NOT NULL"""
HAS_TIMESCALE = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
STOP_WORKERS = "SELECT _timescaledb_functions.stop_background_workers()"


class ShadowRefused(DatabaseFault):
    """The role may not make databases on the shadow server."""

    code = "D020"

    def __init__(self, target: str, user: str) -> None:
        super().__init__(
            f"{target}: {user} may not create databases, and shadow databases are made there",
            hint=f'as a superuser: ALTER ROLE "{user}" CREATEDB; or leave out --shadow for the embedded server',
        )


class ShadowsLeft(PassingFault):
    """Databases or roles of ours stay on a server of the user's."""

    code = "T035"

    def __init__(self, target: str, statements: Iterable[str], why: str = "") -> None:
        super().__init__(
            f"shadow databases of this run are left on {target}" + (f": {why}" if why else ""),
            hint="the next `tidelock prove` or `drift` on that server drops them; or do it by hand, with the SQL above",
            detail="\n".join(statements),
        )


OPEN: list[Shadow] = []
"""Those of this process on servers of the user's: what is named when it has to end without dropping them."""


class Shadow:
    """The throw-away databases of one run. A context manager: on leaving, none is left. Safe to use from threads."""

    def __init__(self, where: Address, *, disposable: bool = False) -> None:
        """`disposable`: the server is ours alone and loses nothing of worth, so that copies of files are fastest."""
        self.where = where
        self.run_id = os.urandom(4).hex()
        self.disposable = disposable
        self.names: set[str] = set()
        self.left: list[str] = []
        """Databases that nobody needs, on a server that goes with them: dropping one takes as long as a small file."""
        self.made_roles: frozenset[str] = frozenset()
        self.stopped = False
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._conn = connect(where.to(MAINTENANCE), run_id=f"shadow {self.run_id}")
        self.roles_before = self.roles()
        self._superuser = self._one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        self._timescale = self._one(TIMESCALE)

    def __enter__(self) -> Self:
        if not self._one(MAY_CREATE):
            self._conn.close()
            raise ShadowRefused(self.where.target, self.where.user)
        if not self.disposable:
            OPEN.append(self)
        self.sweep()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self.close()
        except ShadowsLeft as left:
            if not isinstance(error, TidelockError):
                raise
            error.detail = f"{error.detail}\n{left.message}\n{left.detail}".lstrip()
        except KeyboardInterrupt:  # it comes once; without this it would keep what is left from being dropped
            self.close()
            raise

    @property
    def server_version(self) -> int:
        """As `server_version_num`: 180006."""
        return self._conn.info.server_version

    def address(self, name: str) -> Address:
        """Where a database is."""
        return self.where.to(name)

    def connect(self, name: str) -> Connection:
        """A connection to a database, in autocommit mode."""
        return connect(self.address(name), run_id=f"shadow {self.run_id} {name.rpartition('_')[2]}")

    def available(self) -> frozenset[str]:
        """Extensions that the server could create."""
        with self._lock:
            return frozenset(cast("str", name) for (name,) in self._conn.execute(EXTENSIONS))

    @property
    def timescale(self) -> str:
        """` + TimescaleDB 2.28.3` when the server has it."""
        return f" + TimescaleDB {self._timescale}" if self._timescale else ""

    # --- databases -----------------------------------------------------------------------------------------------

    def create(self) -> str:
        """An empty database; returns its name."""
        return self._create("template0")

    def clone(self, name: str) -> str:
        """A copy of one of them, in which nobody may be connected; returns its name."""
        copied = self._create(name)
        with self._lock:
            if self._superuser:
                self._conn.execute(SETTINGS_OF, {"template": name, "copied": copied})
                self._conn.execute(GRANTS_OF, {"template": name, "copied": copied})
        return copied

    def _create(self, template: str) -> str:
        name = f"{PREFIX}{self.run_id}_{next(self._numbers)}"
        strategy = " STRATEGY FILE_COPY" if self.disposable and self.server_version >= 150000 else ""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}" + strategy).format(
            sql.Identifier(name), sql.Identifier(template)
        )
        ends = time.monotonic() + BUSY_S
        with self._lock:
            self.names.add(name)  # whoever is interrupted now does not learn whether it was made
            while True:
                if self.stopped:
                    raise KeyboardInterrupt
                try:
                    self._conn.execute(statement)
                    break
                except errors.ObjectInUse:  # a session that is at its end, or a worker of TimescaleDB's
                    if time.monotonic() > ends:
                        raise
                    self._conn.execute(END_SESSIONS, (template,))
                    time.sleep(0.01)
            if self.made_roles:
                self._note_roles(name)
        return name

    def drop(self, name: str) -> None:
        """Drop a database with the sessions in it; where the server is thrown away, the longest left of many."""
        with self._lock:
            if self.disposable and self.roles() == self.roles_before:  # a role goes when its databases have gone
                self.left.append(name)
                if len(self.left) <= LEFT:
                    return
                name = self.left.pop(0)
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._conn.execute(DROP_DATABASE.format(sql.Identifier(name)))
        self.names.discard(name)

    def stop(self) -> None:
        """Take the databases away from threads that are at work in them, and let none be made any more."""
        self.stopped = True
        with suppress(psycopg.Error):
            self._conn.cancel_safe(timeout=1)  # a thread may be making one
        with self._lock:
            for name in sorted(self.names):
                with suppress(psycopg.Error):
                    self._drop(name)

    def quiet(self, name: str) -> None:
        """Keep TimescaleDB's background jobs out: they would change what is proved, and keep it from being cloned."""
        with self.connect(name) as conn:
            row = conn.execute(HAS_TIMESCALE).fetchone()
            if row and row[0]:
                conn.execute(STOP_WORKERS)

    def close(self) -> None:
        """Drop what was made, roles last. Raises ShadowsLeft for what could not be."""
        with self._lock:
            if not self.disposable and (self.names or self.made_roles):
                self._clear()
            self._conn.close()
            if self in OPEN:
                OPEN.remove(self)

    def _clear(self) -> None:
        """Drop each, whatever becomes of another."""
        why = ""
        try:
            if self._conn.closed:
                self._conn = connect(self.where.to(MAINTENANCE), run_id=f"shadow {self.run_id}", timeout_s=2.0)
            for name in sorted(self.names):
                try:
                    self._drop(name)
                except psycopg.DatabaseError as error:
                    why = why or str(error).strip()
            if not self.names:
                self.drop_roles()
        except psycopg.Error as error:
            why = why or str(error).strip()
        if why:
            self._conn.close()
            raise self.left_behind(why.splitlines()[0])

    def left_behind(self, why: str = "") -> ShadowsLeft:
        """What is there yet, as the SQL that drops it."""
        found = [DROP_DATABASE.format(sql.Identifier(name)) for name in sorted(self.names)]
        found += [DROP_ROLE.format(sql.Identifier(name)) for name in sorted(self.made_roles)]
        return ShadowsLeft(self.where.to(MAINTENANCE).target, (f"{each.as_string()};" for each in found), why)

    def sweep(self) -> list[str]:
        """Drop what killed runs left; returns the names of the databases."""
        with self._lock:
            found = self._conn.execute(LEFT_OVER, {"prefix": PREFIX, "after": len(PREFIX) + 1}).fetchall()
            left = cast("list[tuple[str, str]]", found)
            for name, _ in left:
                self.drop(name)
            for _, comment in left:
                self._drop_roles(json.loads(comment)["roles"] if comment.startswith("{") else ())
            self.roles_before = self.roles()
            return [name for name, _ in left]

    # --- roles ---------------------------------------------------------------------------------------------------

    def roles(self) -> frozenset[str]:
        """The cluster's roles, without PostgreSQL's own."""
        with self._lock:
            return frozenset(cast("str", name) for (name,) in self._conn.execute(ROLES))

    def take_turn(self) -> bool:
        """Be the one run on this server whose files make roles, until the end. False while another is."""
        with self._lock:
            row = self._conn.execute(TURN, (PREFIX,)).fetchone()
            if not row or not row[0]:
                return False
            self.roles_before = self.roles()
            return True

    def note_roles(self, named: Iterable[str]) -> frozenset[str]:
        """Remember the roles that are new since the run began, of those that its files name; returns them.

        Others may make roles on the same server at the same time: what no file names is not ours.
        """
        with self._lock:
            self.made_roles |= (self.roles() - self.roles_before) & frozenset(named)
            for name in self.names if self.made_roles else ():
                self._note_roles(name)
            return self.made_roles

    def _note_roles(self, name: str) -> None:
        comment = json.dumps({"roles": sorted(self.made_roles)})
        with suppress(errors.InvalidCatalogName):  # it was to be made, and was not
            self._conn.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(comment))
            )

    def drop_roles(self, keep: frozenset[str] = frozenset()) -> None:
        """Drop the roles that were noted, but for some. Their databases must be gone."""
        with self._lock:
            self._drop_roles(self.made_roles - keep)
            self.made_roles &= keep

    def _drop_roles(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            try:
                self._conn.execute(DROP_ROLE.format(sql.Identifier(name)))
            except errors.DependentObjectsStillExist:
                continue  # somebody has given it something outside of our databases: it is theirs now

    def _one(self, query: str) -> Any:
        row = self._conn.execute(query.encode()).fetchone()
        return row[0] if row else None
