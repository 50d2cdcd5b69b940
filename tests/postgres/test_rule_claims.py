"""What the LK and TX rules claim of their bad examples is what a real server does.

The files before the last one are run statement by statement, as psql does, and each table gets some rows, so that
there is something to scan and to rewrite. The last file then runs in one transaction (or as psql would, when it begins
transactions itself, or when its claim is of a statement that no transaction may hold), and each claim is read back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from tests.core.lint import examples

from tidelock.app.reading import Reader
from tidelock.core.facts.draft import STRENGTH
from tidelock.core.lint.locking.rewriting import Change, change
from tidelock.core.lint.rule import RULES
from tidelock.core.source import migrations
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.core.source import SourceFile
    from tidelock.core.statement import Statement

Conn = psycopg.Connection[Any]

WITHOUT = {
    "LK017": "it says that a later change is dear; LK016 is the measured one",
    "LK039": "the order of the values is a matter of taste",
    "TX004": "nothing happens that would not happen without BEGIN and COMMIT",
}
"""Rules that claim nothing that a server could show, and why."""

CODES = [code for code in examples.codes() if code.startswith(("LK", "TX"))]


def claims(code: str) -> list[str]:
    """The claims of a rule's bad example, on PostgreSQL without TimescaleDB."""
    last = examples.files(code, "bad")[-1].data.decode()
    return [each["claim"] for each in examples.CLAIM.finditer(last) if not each["timescale"]]


def test_every_rule_of_locks_and_transactions_has_a_claim_or_a_reason_for_none():
    assert {code for code in CODES if not claims(code)} == set(WITHOUT)
    assert {code for code in RULES if code.startswith(("LK", "TX"))} == set(CODES)


# Rows

COLUMNS = """
SELECT c.oid::regclass::text AS relation, a.attname, t.typname, t.typtype, t.oid::regtype::text AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type d ON d.oid = a.atttypid JOIN pg_type t ON t.oid = coalesce(nullif(d.typbasetype, 0), d.oid)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (c.relkind = 'r' OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid))
  AND a.attidentity = '' AND a.attgenerated = '' ORDER BY c.oid, a.attnum
"""
VALUES = {
    "int2": "g",
    "int4": "g",
    "int8": "g",
    "numeric": "g",
    "text": "'x' || g",
    "varchar": "'x' || g",
    "timestamp": "'2026-01-01'::timestamp + g * interval '1 day'",
    "timestamptz": "'2026-01-01'::timestamptz + g * interval '1 day'",
    "date": "'2026-01-01'::date + g",
    "daterange": "daterange('2026-01-01'::date + g, '2026-01-02'::date + g)",
}


def fill(conn: Conn) -> None:
    """Three rows into each table; the same keys in all of them, so that foreign keys find theirs."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for relation, column, name, kind, type_ in conn.execute(COLUMNS):
        value = f"(enum_range(NULL::{type_}))[1]" if kind == "e" else VALUES[name]
        tables.setdefault(relation, []).append((column, value))
    for relation, found in tables.items():
        columns, values = ", ".join(column for column, _ in found), ", ".join(value for _, value in found)
        conn.execute(f"INSERT INTO {relation} ({columns}) SELECT {values} FROM generate_series(1, 3) g")


# Reading back


@dataclass
class Seen:
    """What the last file did on the server."""

    conn: Conn
    modes: dict[str, set[str]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    """Relation → relfilenode, before."""
    reads: dict[str, int] = field(default_factory=dict)
    """Table → sequential scans of this transaction."""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def look(self) -> None:
        """While the transaction is open."""
        held = self.conn.execute(
            "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
            "WHERE l.pid = pg_backend_pid() AND l.granted"
        )
        for name, mode in held:
            self.modes.setdefault(name, set()).add(mode.removesuffix("Lock"))
        self.reads = dict(self.conn.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables"))

    def holds(self, claim: str) -> bool:
        """Whether a claim is true."""
        match claim.split():
            case ["lock", mode, "on", name]:
                return any(STRENGTH[each] >= STRENGTH[mode] for each in self.modes.get(name, ()))
            case ["rewrite", name]:
                return self.files[name] != filenodes(self.conn).get(name)
            case ["scan", name]:
                return self.reads.get(name, 0) > 0
            case ["error", state]:
                return self.errors[:1] == [state]
            case ["warning", state]:
                return state in self.warnings
            case ["absent", name]:
                return self.conn.execute("SELECT to_regclass(%s)", (name,)).fetchone() == (None,)
            case ["setting", name, "=", value]:
                return self.conn.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
        raise AssertionError(f"no such claim: {claim}")

    def told(self) -> str:
        """For the message of a test that fails."""
        return f"locks {self.modes}, scans {self.reads}, errors {self.errors}, warnings {self.warnings}"


def filenodes(conn: Conn) -> dict[str, int]:
    """Every relation's file."""
    query = "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    return dict(conn.execute(query))


def statements(sources: Iterable[SourceFile]) -> Iterator[list[Statement]]:
    """The statements of each file."""
    read = migrations(tuple(sources))
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path])
    for each in read:
        yield list(reader.script(each).statements)


def run(conn: Conn, code: str) -> Seen:
    """Run a bad example, and look."""
    *before, last = statements(examples.files(code, "bad"))
    for each in before:
        for statement in each:
            conn.execute(statement.text)
    fill(conn)
    for (view,) in conn.execute("SELECT matviewname FROM pg_matviews").fetchall():
        conn.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(view)))
    seen = Seen(conn, files=filenodes(conn))
    conn.add_notice_handler(lambda notice: seen.warnings.append(notice.sqlstate or ""))
    as_psql = any(each.facts.kind in (Kind.BEGIN, Kind.ROLLBACK) for each in last) or (
        any(each.facts.alone for each in last) and not any(each.startswith("error") for each in claims(code))
    )
    try:
        if not as_psql:
            conn.execute("BEGIN")
        for statement in last:
            conn.execute(statement.text)
        if not as_psql:
            seen.look()
    except psycopg.Error as error:
        seen.errors.append(error.sqlstate or "")
        conn.rollback()
    return seen


@pytest.mark.every_server
@pytest.mark.parametrize("code", [code for code in CODES if code not in WITHOUT])
def test_what_a_rule_claims_is_what_the_server_does(code: str, postgres_dsn: str):
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        conn.execute("SET TimeZone = 'Europe/Madrid'")
        seen = run(conn, code)
        wrong = [each for each in claims(code) if not seen.holds(each)]
        unexpected = [] if any(each.startswith("error") for each in claims(code)) else seen.errors
        assert (wrong, unexpected) == ([], []), seen.told()


@pytest.mark.every_server
@pytest.mark.parametrize("code", CODES)
def test_a_good_example_runs(code: str, postgres_dsn: str):
    """As psql would run it, on tables with rows."""
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        files = list(statements(examples.files(code, "good")))
        for number, each in enumerate(files):
            if number == 1:
                fill(conn)
            for statement in each:
                conn.execute(statement.text)


# Types

TYPES = """
int2 int4 int8 float8 numeric numeric(10,2) numeric(12,2) numeric(12,3) numeric(8,2) text varchar varchar(20) varchar(50)
bpchar(3) bpchar(5) timestamp timestamp(3) timestamptz timestamptz(3) date time time(3) bool json jsonb uuid inet cidr
varbit(8) varbit(16) bit(8) xml int4[] int8[] text[] varchar[] varchar(20)[]
""".split()  # noqa: SIM905


@pytest.mark.every_server
@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid"])
def test_a_change_of_type_costs_what_the_rules_say(zone: str, postgres_dsn: str):
    """Each pair that the server can change without USING."""
    wrong: list[str] = []
    tried = 0
    with psycopg.connect(postgres_dsn) as conn:
        conn.execute(sql.SQL("SET TimeZone = {}").format(zone))
        for old in TYPES:
            conn.execute("SAVEPOINT s")
            conn.execute(f"CREATE TABLE t (c {old}, other int)")
            conn.execute("INSERT INTO t VALUES (NULL, 1)")
            before = filenodes(conn)["t"]
            for new in TYPES:
                conn.execute("SAVEPOINT p")
                try:
                    conn.execute(f"ALTER TABLE t ALTER c TYPE {new}")
                except psycopg.errors.DatatypeMismatch:
                    conn.execute("ROLLBACK TO p")
                    continue
                tried += 1
                real = Change.REWRITE if filenodes(conn)["t"] != before else Change.FREE
                said = change(old, new)
                if said is Change.IN_UTC:
                    said = Change.FREE if zone == "UTC" else Change.REWRITE
                if said is not real:
                    wrong.append(f"{old} → {new}: {real}, not {said}")
                conn.execute("ROLLBACK TO p")
            conn.execute("ROLLBACK TO s")
    assert "; ".join(wrong) == ""
    assert tried > 200


def test_a_type_that_is_not_postgresqls_own_is_not_judged():
    assert change("mood", "text") is Change.UNKNOWN
    assert change("int4", "positive") is Change.UNKNOWN
    assert re.fullmatch("unknown", change("geometry(Point,4326)", "text"))
