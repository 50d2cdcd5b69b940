"""The port `Server`: a database and its server, as backups see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.core.snapshot import packed
from tidelock.postgres.connection import explain_failure
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.postgres.address import Address

VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "options": "PGOPTIONS",
}
"""Parameter of a connection → the variable by which libpq's programs take it."""


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
        """A connection in autocommit, without the timeouts of roles and databases."""
        where = self.where.to(database or self.database)
        try:
            conn = psycopg.connect(
                **{**where.connecting(""), "application_name": application},  # type: ignore[arg-type]
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            raise explain_failure(error, where, 0.0) from None
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            conn.execute("SELECT set_config(%s, '0', false)", (name,))
        return conn

    def environment(self, database: str = "") -> Mapping[str, str]:
        """PG* variables for the clients of PostgreSQL."""
        given = self.where.to(database or self.database)
        found = {VARIABLES[name]: value for name, value in given.parameters.items() if name in VARIABLES}
        return {**found, "PGDATABASE": given.database, "PGAPPNAME": "tidelock backup", "PGCONNECT_TIMEOUT": "10"}

    def schema(self, conn: Any) -> bytes:
        """The canonical snapshot of the schema."""
        return packed(take(conn)).encode()
