"""Databases that a restore makes: marked as long as they are not finished, so that those of a killed one can go.

A database is a leftover when it carries the mark, nobody holds its lock and nobody is connected to it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.backup.sessions import ended

if TYPE_CHECKING:
    from tidelock.app.ports import Server

APPLICATION = "tidelock restore"
MARK = "tidelock: a restore that is not finished"
MARK_LIMIT = 1_725_493_821
"""CONNECTION LIMIT of a database that is being made: so it is marked from its first moment, before any comment."""
NAMES = r"^tidelock_(restore|verify)_"


def new_name(what: str, backup: str) -> str:
    """Of a database that nobody else makes: `tidelock_restore_4f2a_90be11`."""
    return f"tidelock_{what}_{backup[-4:]}_{os.urandom(3).hex()}"


def maintenance(server: Server) -> str:
    """A database to connect to that is not the one at hand."""
    return "postgres" if server.database != "postgres" else "template1"


LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


def held(conn: Any, name: str) -> bool:
    """Hold a database's lock as long as the connection lives; False when somebody else has it."""
    return bool(conn.execute(LOCK, (f"{APPLICATION} {name}",)).fetchone()[0])


def released(conn: Any, name: str) -> None:
    """Let go of it."""
    conn.execute(UNLOCK, (f"{APPLICATION} {name}",))


def comment(name: str, text: str | None) -> sql.Composed:
    """SQL that marks a database, or says what was said of it before."""
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))


def dropped(server: Server, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        one = sql.Identifier(name)
        no_template(conn, name)
        try:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(one))
        except psycopg.errors.InsufficientPrivilege:  # of an autovacuum worker too, which a plain DROP ends by itself
            ended(conn, name)
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(one))


def no_template(conn: Any, name: str) -> None:
    """A database that is one cannot be dropped."""
    with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidCatalogName):
        conn.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))


LEFT = """
SELECT d.datname FROM pg_database d
 WHERE (shobj_description(d.oid, 'pg_database') = %s OR d.datconnlimit = %s) AND (d.datname ~ %s OR d.datname = %s)
   AND pg_has_role(d.datdba, 'MEMBER') AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)"""


def sweep(conn: Any, wanted: str) -> dict[str, str]:
    """Drop what killed restores left, under names of their own or under the wanted one. Returns what could not be
    dropped, and why."""
    stuck: dict[str, str] = {}
    for (name,) in conn.execute(LEFT, (MARK, MARK_LIMIT, NAMES, wanted)).fetchall():
        if not held(conn, name):
            continue
        try:
            no_template(conn, name)
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            stuck[name] = error.diag.message_detail or error.diag.message_primary or str(error)
        finally:
            released(conn, name)
    return stuck
