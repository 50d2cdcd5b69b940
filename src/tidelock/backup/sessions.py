"""Who is connected to a database, and whom a role may end.

Without pg_read_all_stats a role sees of others' sessions their user and application alone. Autovacuum's workers have no
user, and are none of these: RENAME and DROP end them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Guest:
    """A session in a database."""

    pid: int
    user: str
    application: str
    client: str
    state: str
    client_backend: bool = True
    """An application's, as far as is told; else a worker of an extension."""
    endable: bool = True
    """Whether the role that looks may end it."""

    def __str__(self) -> str:
        return " · ".join(
            each for each in (f"pid {self.pid}", self.user, self.application, self.client, self.state) if each
        )


SESSIONS = """
SELECT a.pid, r.rolname, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'local'),
       coalesce(a.state, ''), coalesce(a.backend_type, 'client backend') = 'client backend',
       m.rolsuper OR (NOT r.rolsuper AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
  FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid, pg_roles m
 WHERE a.datname = ANY (%s) AND a.pid <> pg_backend_pid() AND m.rolname = current_user ORDER BY a.pid"""
END = "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid"


def present(conn: Any, *databases: str) -> list[Guest]:
    """All sessions in some databases but one's own."""
    return [Guest(*row) for row in conn.execute(SESSIONS, (list(databases),))]


def ended(conn: Any, *databases: str) -> list[Guest]:
    """End the sessions in some databases. Returns those that the role may not end."""
    found = present(conn, *databases)
    conn.execute(END, ([each.pid for each in found if each.endable],))
    return [each for each in found if not each.endable]
