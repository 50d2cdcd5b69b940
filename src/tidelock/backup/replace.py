"""A restored database in the place of the live one: who is connected, what stands in the way, two renames."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.backup.faults import CannotRestore
from tidelock.backup.leftovers import APPLICATION, comment, maintenance
from tidelock.backup.sessions import ended, present

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tidelock.app.ports import Server
    from tidelock.backup.sessions import Guest

NAME_BYTES = 63


def guests(server: Server, name: str) -> list[Guest]:
    """Who is connected to a database."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        return [each for each in present(conn, name) if each.client_backend]


def refusal(server: Server, name: str, role: str, stubborn: Sequence[Guest]) -> CannotRestore:
    """Why sessions that the role may not end keep a database from being replaced."""
    return CannotRestore(
        server.target,
        f"the role {role} may not end {len(stubborn)} of the sessions in {name}: " + "; ".join(map(str, stubborn[:5])),
        "end them first, or restore as a superuser; sessions of roles that are no superusers may be ended by a member "
        f"of theirs, or after GRANT pg_signal_backend TO {role}",
    )


def swap(server: Server, live: str, new: str, old: str, told: str | None, wait_s: float = 30.0) -> None:
    """Two renames in one transaction: `live` becomes `old`, `new` becomes `live`; one when `old` is empty, as there is
    no live database. Sessions are ended until it works. `told` is the comment on the database.

    The live database is never closed to connections outside of that transaction. Raises CannotRestore.
    """
    until = time.monotonic() + wait_s
    with server.connect(APPLICATION, maintenance(server)) as conn:
        renamed = False
        while not renamed:
            if stubborn := ended(conn, live, new):
                if time.monotonic() > until:
                    raise refusal(server, live, conn.info.user, stubborn)
                time.sleep(0.2)
                continue
            try:
                rename(conn, live, new, old, told)
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


def rename(conn: Any, live: str, new: str, old: str, told: str | None) -> None:
    """The renames, and the comment, in a transaction of their own."""
    with conn.transaction():
        conn.execute("SET LOCAL lock_timeout = '5s'")
        for before, after in ((live, old), (new, live)):
            if after:
                statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
                conn.execute(statement.format(sql.Identifier(before), sql.Identifier(after)))
        conn.execute(comment(live, told))


IN_THE_WAY = """
SELECT format('replication slot %%s is on it', slot_name), 'drop it first: SELECT pg_drop_replication_slot(…)'
  FROM pg_replication_slots WHERE database = %(name)s
UNION ALL
SELECT format('subscription %%s is in it', subname), 'drop or move it first: DROP SUBSCRIPTION'
  FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %(name)s
UNION ALL
SELECT format('prepared transaction %%s is open in it', gid), 'end it first: COMMIT PREPARED or ROLLBACK PREPARED'
  FROM pg_prepared_xacts WHERE database = %(name)s"""


def is_there(server: Server, name: str) -> bool:
    """Whether the server has a database of that name."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        return conn.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def check_live(server: Server, name: str) -> None:
    """Raise CannotRestore for what keeps a live database from being renamed, and for sessions that cannot be ended."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        owns = conn.execute(
            "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if owns is not None and not owns[0]:
            raise CannotRestore(server.target, f"the role does not own {name}", "connect as its owner, or a superuser")
        for why, hint in conn.execute(IN_THE_WAY, {"name": name}):
            raise CannotRestore(server.target, why, hint)
        if stubborn := [each for each in present(conn, name) if not each.endable]:
            raise refusal(server, name, conn.info.user, stubborn)


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
