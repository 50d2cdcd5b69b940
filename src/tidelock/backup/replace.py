"""A restored database in the place of the live one: who is connected, what stands in the way, two renames."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from tidelock.backup.faults import CannotRestore
from tidelock.backup.leftovers import APPLICATION, comment, maintenance

if TYPE_CHECKING:
    from datetime import datetime

    from tidelock.app.ports import Server

NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Guest:
    """A session in the live database."""

    pid: int
    user: str
    application: str
    client: str
    state: str

    def __str__(self) -> str:
        return " · ".join(
            each for each in (f"pid {self.pid}", self.user, self.application, self.client, self.state) if each
        )


GUESTS = """
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       coalesce(state, '') FROM pg_stat_activity
 WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid"""
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (%s, %s) AND pid <> pg_backend_pid()"""


def guests(server: Server, name: str) -> list[Guest]:
    """Who is connected to a database."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        return [Guest(*row) for row in conn.execute(GUESTS, (name,))]


def swap(server: Server, live: str, new: str, old: str, told: str | None, wait_s: float = 30.0) -> None:
    """Two renames in one transaction: `live` becomes `old`, `new` becomes `live`. Sessions are ended until it works.
    `told` is the comment on the database.

    The live database is never closed to connections outside of that transaction. Raises CannotRestore.
    """
    until = time.monotonic() + wait_s
    with server.connect(APPLICATION, maintenance(server)) as conn:
        renamed = False
        while not renamed:
            conn.execute(END, (live, new))
            try:
                with conn.transaction():
                    conn.execute("SET LOCAL lock_timeout = '5s'")
                    for before, after in ((live, old), (new, live)):
                        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
                        conn.execute(rename.format(sql.Identifier(before), sql.Identifier(after)))
                    conn.execute(comment(live, told))
                renamed = True
            except psycopg.errors.DuplicateDatabase as error:
                raise CannotRestore(
                    server.target,
                    f"the live database cannot be renamed: {error.diag.message_primary}",
                    "it is as it was; run it again",
                ) from None
            except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable) as error:
                if time.monotonic() > until:
                    raise CannotRestore(
                        server.target,
                        f"sessions come back faster than they are ended: {error.diag.message_detail}",
                        "stop what connects (scale the application down), and run it again",
                    ) from None


IN_THE_WAY = """
SELECT format('replication slot %%s is on it', slot_name), 'drop it first: SELECT pg_drop_replication_slot(…)'
  FROM pg_replication_slots WHERE database = %(name)s
UNION ALL
SELECT format('subscription %%s is in it', subname), 'drop or move it first: DROP SUBSCRIPTION'
  FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %(name)s
UNION ALL
SELECT format('prepared transaction %%s is open in it', gid), 'end it first: COMMIT PREPARED or ROLLBACK PREPARED'
  FROM pg_prepared_xacts WHERE database = %(name)s"""


def check_live(server: Server, name: str) -> None:
    """Raise CannotRestore for what keeps a live database from being renamed."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        owns = conn.execute(
            "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if owns is not None and not owns[0]:
            raise CannotRestore(server.target, f"the role does not own {name}", "connect as its owner, or a superuser")
        for why, hint in conn.execute(IN_THE_WAY, {"name": name}):
            raise CannotRestore(server.target, why, hint)


def free_name(server: Server, live: str, now: datetime) -> str:
    """The name under which the old database stays: `farm_before_20261124T220501`, the moment of the swap.

    With `_2` and so on when there is one already.
    """
    names = [dated(live, f"{now:%Y%m%dT%H%M%S}{more}") for more in ("", *(f"_{number}" for number in range(2, 100)))]
    with server.connect(APPLICATION, maintenance(server)) as conn:
        taken = {name for (name,) in conn.execute("SELECT datname FROM pg_database")}
    return next(each for each in names if each not in taken)


def dated(name: str, stamp: str) -> str:
    """A database's name with `_before_` and a moment, as long as a name can be."""
    suffix = f"_before_{stamp}"
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix
