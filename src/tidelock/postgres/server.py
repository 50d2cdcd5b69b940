"""The port `Server`: a database and its server, as backups see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.core.snapshot import packed
from tidelock.errors import TidelockError
from tidelock.postgres.connection import explain_failure
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.postgres.address import Address

PATIENTLY = """
SELECT set_config(name, '0', false) FROM pg_settings
 WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout',
                'idle_session_timeout', 'default_transaction_read_only')"""
RESTORE_POINT = "SELECT pg_create_restore_point(%s)"
# Facts have names without their quotes: each relation that one may mean.
NAMED = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE (c.relname = %(name)s AND pg_table_is_visible(c.oid)) OR n.nspname || '.' || c.relname = %(name)s"""
# With a table go those below it, and those whose rows a foreign key changes together with its own. A trigger or a rule
# may write anywhere. What a trigger of TimescaleDB guards has its rows in chunks: nothing without its catalog.
HOLDERS = """
WITH RECURSIVE t AS (
  SELECT %s::oid AS oid
  UNION SELECT also.oid FROM t JOIN (
    SELECT inhparent AS above, inhrelid AS oid FROM pg_inherits
    UNION ALL SELECT confrelid, conrelid FROM pg_constraint
               WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
  ) also ON also.above = t.oid)
SELECT '"' || replace(n.nspname, '"', '""') || '"."' || replace(c.relname, '"', '""') || '"',
       c.relkind NOT IN ('r', 'p') OR n.nspname ~ '^_timescaledb'
       OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D')
       OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid)
       OR EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
                   WHERE g.tgrelid = c.oid AND g.tgname = 'ts_insert_blocker')
  FROM t JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace"""


class PostgresServer:
    """One, by the address of the database."""

    def __init__(self, where: Address) -> None:
        self.where = where

    @property
    def database(self) -> str:
        """Its name."""
        return self.where.database

    @property
    def target(self) -> str:
        """`database@host:port`."""
        return self.where.target

    def connect(self, application: str, database: str = "") -> psycopg.Connection[Any]:
        """A connection in autocommit, without the timeouts of roles and databases, and free to write."""
        where = self.where.to(database or self.database)
        try:
            conn = psycopg.connect(
                **{**where.connecting(""), "application_name": application},  # type: ignore[arg-type]
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            raise explain_failure(error, where, 0.0) from None
        conn.execute(PATIENTLY)
        return conn

    def environment(self, database: str = "") -> Mapping[str, str]:
        """PG* variables for the clients of PostgreSQL."""
        given = self.where.to(database or self.database)
        spoken = {"PGCLIENTENCODING": "UTF8"}  # also where a setting of the role or the database says otherwise
        return {**given.environment, **spoken, "PGAPPNAME": "tidelock backup", "PGCONNECT_TIMEOUT": "10"}

    def restore_point(self, name: str) -> bool:
        """Name this moment in the WAL; False when the role may not, or there is nothing to name."""
        try:
            with self.connect("tidelock backup") as conn:
                conn.execute(RESTORE_POINT, (name[:63],))
        except (psycopg.Error, TidelockError):
            return False
        return True

    def tables(self, names: Sequence[str]) -> tuple[str, ...]:
        """These and those whose rows go with theirs, quoted; none when that is not known."""
        with self.connect("tidelock backup") as conn:
            found: list[str] = []
            for name in names:
                meant = conn.execute(NAMED, {"name": name}).fetchall()
                if len(meant) != 1:
                    return ()
                rows = conn.execute(HOLDERS, meant[0]).fetchall()
                if any(row[1] for row in rows):
                    return ()
                found += [row[0] for row in rows]
        return tuple(dict.fromkeys(found))

    def schema(self, conn: Any) -> bytes:
        """The canonical snapshot of the schema."""
        return packed(take(conn)).encode()
