"""What a live TimescaleDB refuses and no file shows: rows in a table, compressed chunks, the edition, no extension."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.core.facts.timescale import switched_on
from tidelock.core.lint.known import argument, key, target
from tidelock.core.lint.refusing import ASKED, LITERAL, Server, certain_ones, sure_to_run
from tidelock.core.statement import Kind
from tidelock.errors import DatabaseFault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tidelock.core.lint.known import Known
    from tidelock.core.lint.look import Look
    from tidelock.core.lint.refusing import Pending
    from tidelock.core.model import Plan
    from tidelock.core.report import Finding
    from tidelock.core.statement import Statement

Connection = psycopg.Connection[Any]

MEASURED = (2, 29)
"""The newest TimescaleDB on which it was measured what is refused. A newer one may have learnt what it refused."""


LATER = frozenset(("TS005", "TS009", "TS072"))
"""What 2.28.3 refuses and 2.20.3 takes: DROP INDEX CONCURRENTLY, INHERITS, a second refresh policy IF NOT EXISTS."""
LATER_SINCE = (2, 28)
"""The oldest TimescaleDB on which those were measured."""


class ServerRefuses(DatabaseFault):
    """Statements that this server is certain to refuse, found before anything runs."""

    code = "D041"

    def __init__(self, findings: Sequence[Finding]) -> None:
        first, *rest = findings
        more = f", and {len(rest)} more statement{'s' * (len(rest) > 1)}" if rest else ""
        lines = [line for each in rest for line in (said(each), *indented(each.rewrite or each.hint))]
        mended = f"write instead: {first.rewrite}" if first.rewrite else first.hint
        allowed = f"; or let the server decide: -- tidelock: allow {first.code}: reason" if first.code else ""
        super().__init__(
            f"the server will refuse {said(first)}{more}", hint=f"{mended}{allowed}", detail="\n".join(lines)
        )
        self.findings = tuple(findings)


class EditionLacks(DatabaseFault):
    """A statement that needs the community edition, on a server that runs the Apache edition."""

    code = "D042"

    def __init__(self, place: object, what: str) -> None:
        super().__init__(
            f"{place}: {what} needs TimescaleDB's community edition, and this server runs the Apache edition "
            "(timescaledb.license = apache)",
            hint="set timescaledb.license = 'timescale' in postgresql.conf and restart, with packages or an image that "
            "carry it (timescale/timescaledb without -oss); managed services mostly have the Apache edition alone",
        )


class ExtensionMissing(DatabaseFault):
    """A statement of TimescaleDB, in a database that has no such extension."""

    code = "D043"

    def __init__(self, place: object, what: str, *, available: bool) -> None:
        super().__init__(
            f"{place}: {what} is TimescaleDB's, and "
            + ("this database has no extension timescaledb" if available else "this server has no TimescaleDB"),
            hint="write CREATE EXTENSION IF NOT EXISTS timescaledb; in a migration before it"
            if available
            else "install TimescaleDB and put it into shared_preload_libraries, or use the image timescale/timescaledb",
        )


def said(found: Finding) -> str:
    """`migrations/002_x.sql:1: r is a hypertable, … (TS001)`."""
    return f"{found.place}: {found.message}" + (f" ({found.code})" if found.code else "")


def indented(text: str) -> list[str]:
    """The lines of a text, below another one."""
    return [f"  {line}" for line in text.splitlines()]


# --- what the catalog says -------------------------------------------------------------------------------------------

RELATIONS = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       coalesce(current_setting('timescaledb.license', true), ''),
       ARRAY(SELECT lower(table_name) FROM _timescaledb_catalog.hypertable
              UNION SELECT lower(user_view_name) FROM _timescaledb_catalog.continuous_agg)"""

COMPRESSED = """
SELECT hypertable_schema || '.' || hypertable_name
  FROM timescaledb_information.chunks WHERE is_compressed GROUP BY 1"""

# Columns of hypertables and aggregates that a rule of a view depends on.
READ = """
SELECT DISTINCT n.nspname || '.' || c.relname, a.attname::text
  FROM pg_depend d
  JOIN pg_class c ON c.oid = d.refobjid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
 WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND NOT a.attisdropped
   AND n.nspname !~ '^_timescaledb_'
   AND EXISTS (SELECT FROM _timescaledb_catalog.hypertable h
                WHERE h.schema_name = n.nspname AND h.table_name = c.relname)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The extension in this database."""

    version: str = ""
    apache: bool = False
    names: frozenset[str] = frozenset()
    """Hypertables and aggregates in lower case, without their schemas."""

    @property
    def release(self) -> tuple[int, ...]:
        """(2, 28) of 2.28.3; empty when it is not known."""
        return tuple(map(int, re.findall(r"\d+", self.version)[:2]))

    @property
    def measured(self) -> bool:
        """Whether what this version refuses is known."""
        return not self.release or self.release <= MEASURED

    def refuses(self, code: str) -> bool:
        """Whether this version is known to refuse what a rule says."""
        return code not in LATER or not self.release or self.release >= LATER_SINCE


def standing(conn: Connection) -> Standing:
    """One short question, whatever is pending."""
    version, license_, names = conn.execute(RELATIONS).fetchone() or ("", "", ())
    return Standing(version=version, apache=license_ == "apache", names=frozenset(names))


def server(conn: Connection, *, preserves: bool) -> Server:
    """What the rules cannot know from the schema."""
    return Server(
        preserves=preserves,
        compressed=frozenset(key(name) for (name,) in conn.execute(COMPRESSED)),
        read=frozenset((key(table), column) for table, column in conn.execute(READ)),
    )


OF_TIMESCALE = re.compile(
    r"timescaledb|\btsdb\.|hypertable|continuous_agg|columnstore|_policy\b|_chunks?\b|_job\b|time_bucket|\blocf\b"
    r"|\binterpolate\b",
    re.IGNORECASE,
)
BY_INDEX = re.compile(r"\bconcurrently\b|\breindex\b", re.IGNORECASE)
WORD = re.compile(r"\w+")


def matters(plan: Plan, standing: Standing) -> bool:
    """Whether a pending statement may be about TimescaleDB at all: a look at its words."""
    for statement in statements(plan):
        text = statement.text
        if OF_TIMESCALE.search(text) or (standing.names and BY_INDEX.search(text)):
            return True
        if standing.names and not standing.names.isdisjoint(WORD.findall(text.lower())):
            return True
    return False


def statements(plan: Plan) -> Iterator[Statement]:
    """Those that rules are asked of."""
    return (one for each in plan.pending for one in each.script.statements if is_asked(one))


def is_asked(statement: Statement) -> bool:
    """Whether rules are asked of a statement: rows that come, change and go are never refused for certain."""
    return statement.facts.kind in (*ASKED, Kind.UNKNOWN) or statement.facts.command.startswith("TRUNCATE")


# --- what is asked of single statements ------------------------------------------------------------------------------

CALL_ASKS = re.compile(r"CALL\b.*\(\s*SELECT\b", re.IGNORECASE | re.DOTALL)
REPLACES = re.compile(r"CREATE\s+OR\s+REPLACE\s+MATERIALIZED\s+VIEW\b", re.IGNORECASE)


def unwritable(statement: Statement) -> tuple[str, str]:
    """(what is wrong, what to do) of what PostgreSQL's grammar has not, and people write for TimescaleDB."""
    if statement.runtime:
        return "", ""
    if REPLACES.match(statement.text):
        return "CREATE OR REPLACE knows no materialized view", (
            "make the new aggregate beside the old one under another name; to redefine it and keep its history, drop "
            "and create it in a file with `-- tidelock: rebuild NAME`"
        )
    if statement.facts.kind is Kind.CODE and CALL_ASKS.match(LITERAL.sub("''", statement.text)):
        return "CALL takes no subquery as an argument", (
            "write the value; or ask for it in a DO block, and CALL with a variable"
        )
    return "", ""


ROWS = "SELECT EXISTS (SELECT FROM ONLY {})"
MAKES_EMPTY = {"truncate", "delete", "drop table", "create table", "rename table", "alter type"}


def not_empty(conn: Connection, look: Look, changed: Collection[tuple[str, str]]) -> str:
    """The table that create_hypertable is called for and that has rows; empty when there is none, or it is unsure."""
    for each in look.calls("create_hypertable"):
        name = target(each)
        moves = argument(each, 4, "migrate_data")
        unsure = moves is True or "migrate_data" in each.arguments or any(table == name for _, table in changed)
        if name and not unsure and not look.known.is_hypertable(name) and has_rows(conn, name):
            return name
    return ""


def has_rows(conn: Connection, name: str) -> bool:
    """Whether the table has a row, when that is told at once."""
    table = sql.Identifier(*name.split("."))
    with suppress(psycopg.Error), conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '2s'")
        found = conn.execute(sql.SQL(ROWS).format(table)).fetchone()
        return found is not None and bool(found[0])
    return False


COMMUNITY = frozenset(
    (
        "add_retention_policy",
        "remove_retention_policy",
        "add_compression_policy",
        "remove_compression_policy",
        "add_columnstore_policy",
        "remove_columnstore_policy",
        "add_continuous_aggregate_policy",
        "remove_continuous_aggregate_policy",
        "add_reorder_policy",
        "remove_reorder_policy",
        "add_job",
        "alter_job",
        "delete_job",
        "run_job",
        "compress_chunk",
        "decompress_chunk",
        "convert_to_columnstore",
        "convert_to_rowstore",
        "refresh_continuous_aggregate",
        "reorder_chunk",
        "move_chunk",
        "split_chunk",
        "time_bucket_gapfill",
        "locf",
        "interpolate",
    )
)
"""Functions that the Apache edition has by name only."""


def of_community(look: Look) -> str:
    """What in a statement the Apache edition refuses; empty when there is nothing."""
    for each in look.facts.actions:
        if each.what == "create aggregate":
            return f"the continuous aggregate {each.table}"
        if each.what == "call" and each.name.removeprefix("public.") in COMMUNITY:
            return f"{each.name}()"
        settings = dict(each.options)
        if each.what == "set options" and (
            switched_on(settings, "compress") or switched_on(settings, "enable_columnstore")
        ):
            return f"columnstore on {each.table}"
    return ""


def check_edition(pending: Sequence[Pending], known: Known) -> None:
    """Raise when a statement needs the community edition."""
    for look, _ in certain_ones(pending, known):
        if "timescaledb.license" in look.text:
            return
        if what := of_community(look):
            raise EditionLacks(look.statement.place, what)


AVAILABLE = """
SELECT (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'),
       (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries')"""
FUNCTIONS = "SELECT proname FROM pg_proc WHERE proname = ANY (%s)"


def check_extension(conn: Connection, pending: Sequence[Pending], known: Known) -> str:
    """The version of the extension that pending files create; empty when they do without it, or it is unsure.

    Raises when one of them needs the extension and none before it creates it, or the server has none.
    """
    version, preloaded = conn.execute(AVAILABLE).fetchone() or (None, None)
    usable = version is not None and (preloaded is None or "timescaledb" in preloaded)
    own = {one.name for each in pending for it in each.script.statements for one in it.facts.creates}
    maker = next((one for each in pending for one in each.script.statements if makes_extension(one)), None)
    for look, _ in certain_ones([*before(pending, maker)], known):
        if what := needs_extension(look, own, conn):
            raise ExtensionMissing(look.statement.place, what, available=usable)
    if maker is None or not sure_to_run(maker):
        return ""
    if not usable:
        raise ExtensionMissing(maker.place, "this extension", available=False)
    return str(version)


def makes_extension(statement: Statement) -> bool:
    """CREATE EXTENSION timescaledb, whatever the search_path: extensions are in none."""
    return any(each.kind == "extension" and each.name == "timescaledb" for each in statement.facts.creates)


def before(pending: Sequence[Pending], statement: Statement | None) -> Iterator[Pending]:
    """What runs before a statement."""
    for each in pending:
        items = each.script.items
        if statement in items:
            yield replace(each, script=replace(each.script, items=items[: items.index(statement)]))
            return
        yield each


def needs_extension(look: Look, own: Collection[str], conn: Connection) -> str:
    """What in a statement is TimescaleDB's: an option, or a function that the database does not have by itself."""
    names = {each.name.rpartition(".")[2] for each in look.actions("call")} - set(own)
    if names and (theirs := names - {name for (name,) in conn.execute(FUNCTIONS, ([*names],))}):
        return f"{min(theirs)}()"
    options = (name for each in look.facts.actions if each.what != "set" for name in each.options)
    return next((f"the option {each}" for each in options if each.startswith(("timescaledb.", "tsdb."))), "")


ELSEWHERE = """
SELECT n FROM unnest(%s::text[]) n
 WHERE to_regclass(quote_ident(n)) IS DISTINCT FROM to_regclass('public.' || quote_ident(n))"""


def elsewhere(conn: Connection, names: Iterable[str]) -> set[str]:
    """Those bare names that mean something else here than the relation in `public`."""
    bare = sorted({each for each in names if each and "." not in each})
    return {name for (name,) in conn.execute(ELSEWHERE, (bare,))} if bare else set()
