"""The port `Workshop` on a server for shadow databases: what a script and migrations make of an empty database."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from tidelock.app.apply import Run
from tidelock.app.apply import apply as applied
from tidelock.app.patience import Patience
from tidelock.app.sinks import Silent
from tidelock.core.cluster import beyond, made_roles
from tidelock.core.drift import MISSING_ROLE
from tidelock.core.given import Given
from tidelock.errors import DatabaseFault, Interrupted, TidelockError
from tidelock.postgres.connection import explain_failure
from tidelock.postgres.database import Options, PostgresDatabase
from tidelock.postgres.limits import Limits
from tidelock.postgres.shadow import Shadow
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.snapshot import Snapshot
    from tidelock.postgres.address import Address
    from tidelock.postgres.turn import Hooks

PATIENCE_S = 30.0
ROLES = 100
"""So many roles that the files only name are made before it is given up."""
WORD = re.compile(r"\w+")


class ExtensionMissing(DatabaseFault):
    """The shadow server lacks an extension that the live database has."""

    code = "D030"

    def __init__(self, server: str, names: Sequence[str]) -> None:
        super().__init__(
            f"the shadow server ({server}) has no {', '.join(names)}, and the database uses it",
            hint="name a server that has it: `--shadow postgresql://…`, or `[prove] shadow` in tidelock.toml; "
            "throw-away databases are made there and dropped",
        )


class ShadowFailed(DatabaseFault):
    """What is applied to the live database does not apply to an empty one."""

    code = "D031"

    def __init__(self, what: str, failure: TidelockError) -> None:
        super().__init__(
            f"in a shadow database {what}: {failure.message}",
            hint="`tidelock prove` shows each file that does not apply to an empty database; a database that did not "
            "come from its files is adopted: `tidelock adopt` keeps its schema as the beginning",
            detail=failure.detail,
        )


def opened(where: Address) -> Shadow:
    """Shadow databases on a server of the user's. Raises a TidelockError when it cannot be reached."""
    try:
        return Shadow(where)
    except psycopg.OperationalError as error:
        raise explain_failure(error, where, 0.0) from None


class ShadowWorkshop:
    """Shadow databases of one run."""

    def __init__(self, shadow: Shadow, *, ledger: str | None, hooks: Hooks = lambda *_: ()) -> None:
        self.shadow, self.ledger, self.hooks = shadow, ledger, hooks
        self.named: set[str] = set()
        """Roles that files only name: other hands have made them on the live server."""

    @property
    def major(self) -> int:
        """18, for PostgreSQL 18."""
        return self.shadow.server_version // 10000

    @property
    def server(self) -> str:
        """`PostgreSQL 18.6`."""
        number = self.shadow.server_version
        return f"PostgreSQL {number // 10000}.{number % 10000}"

    def check(self, extensions: Collection[str]) -> None:
        """Raise ExtensionMissing for what cannot be created here."""
        if missing := sorted(set(extensions) - self.shadow.available()):
            raise ExtensionMissing(self.server, missing)

    def produced(self, run: Run, files: Sequence[Migration], script: str) -> Snapshot:
        """The schema that the script and then the files make of an empty database.

        Roles belong to the cluster. Those that the files grant to and do not make are made here, and dropped again.
        """
        self._spare_the_server(run, files)
        words = {word for text in (script, *(each.text for each in files)) for word in WORD.findall(text)}
        for _ in range(ROLES):
            name = self.shadow.create()
            try:
                return self._attempt(name, run, files, script)
            except ShadowFailed as failure:
                found = MISSING_ROLE.search(f"{failure.message}\n{failure.detail}")
                if found is None or found["name"] in self.named:
                    raise
                self.named.add(found["name"])
            finally:
                self.shadow.drop(name)
                self.shadow.note_roles(words)
                self.shadow.drop_roles()
            self._make_roles()
        raise AssertionError("more roles than a hundred")  # pragma: no cover

    def _spare_the_server(self, run: Run, files: Sequence[Migration]) -> None:
        """Raise ShadowFailed for a file that would change more of a server of the user's than a shadow database."""
        if self.shadow.disposable:
            return
        scripts = {file.label: run.reader.script(file).statements for file in files}
        made = frozenset[str]().union(*map(made_roles, scripts.values())) - self.shadow.roles_before
        for label, statements in scripts.items():
            if words := beyond(statements, made):
                why = DatabaseFault(f"{words} belongs to the whole server, and would be done there for real")
                raise ShadowFailed(f"{label} cannot be run on the server of --shadow", why)

    def _make_roles(self) -> None:
        """The roles that were missing."""
        with self.shadow.connect("postgres") as conn:
            for role in sorted(self.named - self.shadow.roles()):
                conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        self.shadow.note_roles(self.named)

    def _attempt(self, name: str, run: Run, files: Sequence[Migration], script: str) -> Snapshot:
        """Run them, and look."""
        if script:
            self._begin(name, script)
        if files:
            self._apply(name, run, files)
        with self.shadow.connect(name) as conn:
            return take(conn)

    def _begin(self, name: str, script: str) -> None:
        """Bring it to where the live database was adopted."""
        try:
            with self.shadow.connect(name) as conn:
                conn.execute(script.encode())
        except psycopg.Error as error:
            words = error.diag.message_primary or str(error)
            failure = DatabaseFault(words, detail=error.diag.context or "")
            raise ShadowFailed("the schema that was adopted cannot be made", failure) from None

    def _apply(self, name: str, run: Run, files: Sequence[Migration]) -> None:
        """`apply`, with no one watching."""
        given = Given.to(run.reader.variables, (each.text for each in files))
        options = Options(hooks=self.hooks, ledger=self.ledger, limits=Limits(lock_timeout_s=10.0), given=given)
        database = PostgresDatabase(self.shadow.address(name), Patience(PATIENCE_S), Silent(), options)
        policy = replace(run.policy, out_of_order=True, allow_ahead=True, allow_missing=True)
        try:
            report = applied(Run(database=database, reader=run.reader.of(files), sink=Silent(), policy=policy))
        finally:
            database.close()
        if isinstance(report.failure, Interrupted):
            raise KeyboardInterrupt
        if report.failure is not None:
            raise ShadowFailed("they do not apply", report.failure) from None
