"""A backup holds ACCESS SHARE on all tables, as pg_dump does, and gives way to who wants one for himself.

Its own programs come to a table later, and would wait behind a session that waits for the backup: for ever, as
PostgreSQL sees no ring through idle sessions, with all of the table's readers behind them. So none of ours waits long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import errors

from tidelock.backup.clients import ClientFailed
from tidelock.core.backups import BackupFault

if TYPE_CHECKING:
    from collections.abc import Sequence

GIVE_WAY_S = 5
LIMIT = f"SET lock_timeout = '{GIVE_WAY_S}s'"
TRIES = 3
"""So often is a backup begun that had to give way."""
PATIENCE_S = 600.0
"""So long is tried to have all tables at once, while nothing is held between the tries."""
TIMEOUTS = ("due to lock timeout", "due to statement timeout")

WAITING = """
SELECT DISTINCT format('%%s wants %%s (%%s)', concat_ws(', ', 'pid ' || a.pid, a.usename,
                                                     nullif(a.application_name, '')), l.relation::regclass, l.mode)
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE NOT l.granted AND l.locktype = 'relation' AND a.datname = current_database()
   AND (%(ours)s = ANY (pg_blocking_pids(l.pid)))
   AND l.mode <> 'AccessShareLock' ORDER BY 1"""


class InTheWay(BackupFault):
    """Somebody wants a table for himself that the backup needs too."""

    code = "B022"

    def __init__(self, target: str, waiting: Sequence[str], *, begun: bool) -> None:
        who = "; ".join(waiting[:5]) or f"a table could not be had within {GIVE_WAY_S} s"
        super().__init__(
            f"{target}: the backup gave way: {who}",
            hint="run it again when that is done, or at another hour than what takes tables for itself "
            "(ALTER TABLE, TRUNCATE, VACUUM FULL, TimescaleDB's policies)",
        )
        self.begun = begun
        """It had all tables, and was being made."""


def waiting_for(conn: Any) -> list[str]:
    """Who waits for a lock that this session holds."""
    conn.execute("SELECT pg_stat_clear_snapshot()")
    return [row[0] for row in conn.execute(WAITING, {"ours": conn.info.backend_pid})]


def gave_way(conn: Any, target: str, error: BaseException) -> InTheWay | None:
    """Whether a part of a backup failed for want of a lock. The session that holds all tables is asked, and lets go."""
    if not isinstance(error, ClientFailed | errors.LockNotAvailable):
        return None
    waiting = waiting_for(conn)
    conn.rollback()
    if waiting or isinstance(error, errors.LockNotAvailable) or any(each in error.detail for each in TIMEOUTS):
        return InTheWay(target, waiting, begun=True)
    return None
