"""One look at the database: what a plan depends on, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tidelock.core.model import Observed
from tidelock.postgres import ledger as ledgers
from tidelock.postgres import records

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.surroundings import Surroundings
    from tidelock.postgres.ledger import Ask, Ledger

    Connection = psycopg.Connection[tuple[object, ...]]

# What a role or a database may set that would cut a migration off, or hide what it does.
TIMEOUTS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "idle_session_timeout",
)

SERVER = """
SELECT json_build_object(
  'database', current_database(), 'user', current_user, 'server_version', current_setting('server_version_num')::int,
  'pid', pg_backend_pid(), 'read_only', pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
  'extensions', (SELECT json_object_agg(extname, extversion) FROM pg_extension),
  'overridden', (SELECT json_object_agg(name, reset_val || coalesce(unit, '')) FROM pg_settings
                  WHERE name IN ({timeouts}) AND reset_val <> '0'))"""

HOLDER = "SELECT coalesce((SELECT json_build_array(run_id, format) FROM {lease} WHERE part = 'holder'), '[]')"

# An ALTER of a parent is one of its children too. Partitions have their parent's constraints as their own.
DEFERRED = """
WITH RECURSIVE checked (id) AS (
    SELECT c.oid FROM pg_constraint k JOIN pg_class c ON c.oid IN (k.conrelid, k.confrelid) WHERE k.condeferred
    UNION SELECT tgrelid FROM pg_trigger WHERE tginitdeferred
    UNION SELECT inhparent FROM pg_inherits JOIN checked ON id = inhrelid)
SELECT relname FROM pg_class JOIN checked ON id = oid"""

# PostgreSQL's own functions, below the first oid of a user's, have none: the others are found by an index.
COMMITTING = r"""
SELECT proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE p.oid >= 16384 AND p.prokind = 'p'
   AND l.lanname = 'plpgsql' AND p.prosrc ~* '\m(commit|rollback)\M\s*(and\s+(no\s+)?chain\s*)?;'"""


@dataclass(frozen=True, slots=True)
class Where:
    """What a connection knows of itself."""

    host: str
    port: str
    backend_pid: int
    """The server process that was connected to; another one answers when a pooler stands between."""


def observe(ask: Ask, configured_ledger: str | None, where: Where) -> tuple[Observed, Ledger]:
    """Ledger, unfinished steps, lease, versions and what would cut a migration off."""
    server = ask(SERVER.format(timeouts=", ".join(map(ledgers.literal, TIMEOUTS))))
    ledger = ledgers.find(ask, configured_ledger)
    run_id, format_ = (ask(ledger.fill(HOLDER)) or ledgers.refuse_no_lease(ledger)) if ledger.format else (None, 0)
    if format_ > ledgers.FORMAT:
        raise ledgers.LedgerNewer(ledger.name, format_)
    unfinished = records.unfinished(ask, ledger)
    return Observed(
        database=server["database"],
        user=server["user"],
        host=where.host,
        port=where.port,
        server_version=server["server_version"],
        pooled=where.backend_pid != server["pid"],
        writable=not server["read_only"],
        ledger=ledger.name if ledger.exists else None,
        applied={each: row for each, row in records.applied(ask, ledger).items() if each not in unfinished},
        unfinished=unfinished,
        clean=run_id is None,
        overridden=server["overridden"] or {},
        extensions=server["extensions"] or {},
    ), ledger


def extensions(conn: Connection) -> dict[str, str | None]:
    """Name → version of what is installed now."""
    return dict(
        cast("list[tuple[str, str | None]]", conn.execute("SELECT extname, extversion FROM pg_extension").fetchall())
    )


def surroundings(conn: Connection) -> Surroundings:
    """Tables with deferred checks and procedures that commit: they decide where a file is cut."""
    from tidelock.core.surroundings import Surroundings

    return Surroundings(
        deferred=frozenset(cast("str", name) for (name,) in conn.execute(DEFERRED)),
        committing=frozenset(cast("str", name) for (name,) in conn.execute(COMMITTING)),
    )


RELATIONS = """
SELECT c.relname, c.relnamespace::regnamespace::text,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END
  FROM pg_class c
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
   AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|_timescaledb)'
 LIMIT 5000"""
COLUMNS = """
SELECT DISTINCT a.attname, '', 'column of ' || a.attrelid::regclass::text
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
   AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|_timescaledb)'
 LIMIT 20000"""
MISSING = {"42P01": RELATIONS, "42703": COLUMNS}


def similar(conn: Connection, error: psycopg.Error) -> str:
    """What the author of a missing relation or column may have meant: `table "sites" exists`; empty when nothing is."""
    from difflib import get_close_matches

    named = re.search(r'"([^"]+)"', error.diag.message_primary or "")
    query = MISSING.get(error.diag.sqlstate or "")
    if query is None or named is None:
        return ""
    rows = cast("list[tuple[str, str, str]]", conn.execute(query).fetchall())
    known = {name: (schema, kind) for name, schema, kind in rows}
    wanted = named[1].rpartition(".")[2]
    near = get_close_matches(wanted, known, n=1, cutoff=0.75)
    if not near:
        return ""
    schema, kind = known[near[0]]
    if near[0] == wanted and schema:
        return f'{kind} "{wanted}" exists in the schema {schema}'
    return f'{kind} "{near[0]}" exists'
