"""The three tables that Tidelock keeps in a database: made, or upgraded where another hand made the first of them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import psycopg

from tidelock.errors import DatabaseFault
from tidelock.postgres.connection import asking
from tidelock.postgres.ledger import FORMAT, INTEGERS, OWN_SCHEMA, Ledger, LedgerUnfit, find, quoted

if TYPE_CHECKING:
    from tidelock.core.statement import Statement

    Connection = psycopg.Connection[tuple[object, ...]]


class NoSchema(DatabaseFault):
    """The search_path leads nowhere, or to where nothing may be created."""

    code = "D004"

    def __init__(self, why: str, user: str, ledger: Ledger, *, missing: bool = False) -> None:
        schema, role, another = quoted(ledger.schema), quoted(user), '`[ledger] table = "tidelock.schema_migrations"`'
        granted = f"as the schema's owner: GRANT CREATE ON SCHEMA {schema} TO {role}"
        if missing:
            how = f"make its schema before the first run: CREATE SCHEMA {schema}; or name another place: {another}"
        elif ledger.exists:
            table = ledger.identifiers["ledger"]
            how = f"as its owner: ALTER TABLE {table} OWNER TO {role}; and {granted}; or connect as its owner"
        elif ledger.schema == OWN_SCHEMA:
            made = f"CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"
            how = f"as the database's owner: {made}"
        else:
            how = f"{granted}; or name another place: {another}"
        super().__init__(f"the ledger cannot be made: {why}", hint=how)


UNFIT = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, psycopg.ProgrammingError)
"""What the server says where something of another hand is in the way."""


NO_SCHEMA = f"SELECT to_regnamespace('{OWN_SCHEMA}') IS NULL"
IDENTIFIED = """
SELECT c.relreplident <> 'd' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
  FROM pg_class c WHERE c.oid = %(table)s::regclass"""
HAS_UNIQUE = """
SELECT EXISTS (SELECT FROM pg_index i
                WHERE i.indrelid = %(table)s::regclass AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1
                  AND i.indkey[0] = (SELECT attnum FROM pg_attribute
                                      WHERE attrelid = i.indrelid AND attname = 'version'))
"""


def prepare(
    conn: Connection,
    ledger: Ledger,
    *,
    created_by_file: Statement | None,
    highest_version: int,
    user: str,
) -> Ledger:
    """Make or upgrade the three tables, in one transaction; returns the ledger as it is then.

    `created_by_file` is a CREATE TABLE for the ledger that one of the files carries: its columns are honoured.
    Runners that come at once are serialised by a transaction-level lock that ends with it.
    """
    if is_made(ledger, highest_version):
        return ledger
    try:
        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '10s'")
            conn.execute("SET LOCAL statement_timeout = 0")
            conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('tidelock ledger', 0))")
            make(conn, ledger, created_by_file, highest_version)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NoSchema(error.diag.message_primary or str(error), user, ledger) from None
    except psycopg.errors.InvalidSchemaName as error:
        raise NoSchema(error.diag.message_primary or str(error), user, ledger, missing=True) from None
    except UNFIT as error:
        raise LedgerUnfit(ledger.name, f"what belongs to it cannot be made: {error.diag.message_primary}") from None
    return find(asking(conn), ledger.name)


def is_made(ledger: Ledger, highest_version: int) -> bool:
    """Nothing is to be made or upgraded."""
    return ledger.format >= FORMAT and INTEGERS[ledger.columns["version"]] >= highest_version


def make(
    conn: Connection,
    ledger: Ledger,
    created_by_file: Statement | None,
    highest_version: int,
) -> None:
    """The statements of `prepare`."""
    # IF NOT EXISTS alone asks for the right to make it, also when it is there
    if ledger.schema == OWN_SCHEMA and conn.execute(NO_SCHEMA).fetchone() == (True,):
        conn.execute(ledger.fill("CREATE SCHEMA IF NOT EXISTS {schema}").encode())
    now = find(asking(conn), ledger.name)
    if is_made(now, highest_version):
        return  # somebody was faster, and is at work: what follows would lock its tables against it
    if not now.exists and created_by_file:
        make_as_written(conn, now, created_by_file)
        now = find(asking(conn), ledger.name)
    if now.exists and not {"description", "name"} & now.columns.keys():
        conn.execute(now.fill("ALTER TABLE {ledger} ADD COLUMN description text").encode())
    if now.exists and INTEGERS[now.columns["version"]] < highest_version:
        widen(conn, now, highest_version)
    script = resources.files(__package__).joinpath("schema/001_ledger.sql").read_text(encoding="utf-8")
    conn.execute(now.fill(script).encode())  # our own file, trusted as a literal is
    row = conn.execute(HAS_UNIQUE, {"table": now.identifiers["ledger"]}).fetchone()
    if not row or not row[0]:
        try:
            conn.execute(now.fill("CREATE UNIQUE INDEX ON {ledger} (version)").encode())
        except psycopg.errors.UniqueViolation as error:
            raise LedgerUnfit(
                now.name,
                f"it has no unique index on version, and none can be made: {error.diag.message_detail}",
            ) from None
    if conn.execute(IDENTIFIED, {"table": now.identifiers["ledger"]}).fetchone() == (False,):
        conn.execute(now.fill("ALTER TABLE {ledger} REPLICA IDENTITY FULL").encode())  # for whoever publishes it


def make_as_written(conn: Connection, ledger: Ledger, created_by_file: Statement) -> None:
    """The table as a file has it. What its columns need must be there before the first file."""
    try:
        conn.execute(created_by_file.text.encode())
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName):
        raise
    except UNFIT as error:
        why = (
            f"{created_by_file.place} makes it, which is done before all files, and fails: {error.diag.message_primary}"
        )
        how = "make it with columns of PostgreSQL's own types, or leave it out: Tidelock makes it by itself"
        raise LedgerUnfit(ledger.name, why, how) from None


def widen(conn: Connection, ledger: Ledger, highest_version: int) -> None:
    """Make room for a large version, where nothing that uses the column is in the way."""
    widening = ledger.fill("ALTER TABLE {ledger} ALTER COLUMN version TYPE bigint")
    try:
        conn.execute(widening.encode())
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidTableDefinition) as error:
        why = ", ".join(each for each in (error.diag.message_primary, error.diag.message_detail) if each)
        raise LedgerUnfit(
            ledger.name,
            f"its column version is {ledger.columns['version']}, too small for {highest_version}, "
            f"and cannot be widened: {why}",
            f"drop what uses it, run {widening}, and make it again",
        ) from None
