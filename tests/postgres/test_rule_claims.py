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
from tidelock.core.source import SourceFile, migrations
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.core.statement import Statement

Conn = psycopg.Connection[Any]

WITHOUT = {
    "LK017": "it says that a later change is dear; LK016 is the measured one",
    "LK039": "the order of the values is a matter of taste",
    "TX013": "the file is one of psql's, and no server sees its commands",
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
    """Table → sequential scans since `begin`."""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Begin the transaction. What the session has counted before may not be reported yet, and is taken off."""
        self.conn.execute("BEGIN")
        self.reads = self.scans()

    def scans(self) -> dict[str, int]:
        """Table → sequential scans that are not reported yet."""
        return dict(self.conn.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables"))

    def look(self) -> None:
        """While the transaction is open."""
        held = self.conn.execute(
            "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
            "WHERE l.pid = pg_backend_pid() AND l.granted"
        )
        for name, mode in held:
            self.modes.setdefault(name, set()).add(mode.removesuffix("Lock"))
        self.reads = {name: count - self.reads.get(name, 0) for name, count in self.scans().items()}

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
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
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
            seen.begin()
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


REWRITTEN = [code for code in CODES if examples.mended(code) is not None]


@pytest.mark.every_server
@pytest.mark.parametrize("code", REWRITTEN)
def test_a_rewrite_runs_and_does_not_do_what_was_claimed(code: str, postgres_dsn: str):
    """Statement by statement: none of them holds the lock and goes over the rows."""
    mended = examples.mended(code)
    assert mended is not None
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        first, *files = statements(mended)
        for each in first:
            conn.execute(each.text)
        fill(conn)
        for statement in (one for each in files for one in each):
            if statement.facts.alone or code.startswith("TX"):
                conn.execute(statement.text)
                continue
            seen = Seen(conn, files=filenodes(conn))
            seen.begin()
            conn.execute(statement.text)
            seen.look()
            assert not all(seen.holds(each) for each in claims(code)), statement.text
            conn.execute("COMMIT")


@pytest.mark.every_server
@pytest.mark.parametrize("code", examples.REPEATABLE)
def test_a_rewrite_runs_twice(code: str, postgres_dsn: str):
    """File by file, as `prove` runs them a second time."""
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        for file in statements(examples.mended(code) or ()):
            for each in (*file, *file):
                conn.execute(each.text)


# Variants: statements that look alike, and cost more or less

START = """
CREATE TABLE crops (code text PRIMARY KEY, name text);
CREATE DOMAIN hectares AS numeric;
CREATE TABLE parcels (
    id bigint PRIMARY KEY, area numeric(10,2), name varchar(20), crop text, sown timestamptz, size hectares
);
CREATE TABLE stations (code text, n int, CONSTRAINT known CHECK (code IS NOT NULL));
ALTER TABLE stations ADD CONSTRAINT later CHECK (n > 0) NOT VALID;
CREATE SEQUENCE numbers;
CREATE INDEX parcels_name ON parcels (name);
"""
SCANS = "lock AccessExclusive on parcels; scan parcels"
REWRITES = "lock AccessExclusive on parcels; rewrite parcels"
VARIANTS = [
    # (what fires, statement, claims); "" for what fires says that nothing is scanned or rewritten under a strong lock
    ("LK010", "ALTER TABLE parcels ADD COLUMN n int CHECK (n > 0)", SCANS),
    ("LK010", "ALTER TABLE parcels ADD CHECK (area > 0)", SCANS),
    ("LK011", "ALTER TABLE parcels ADD COLUMN c text DEFAULT 'x1' REFERENCES crops", SCANS),
    ("", "ALTER TABLE parcels ADD COLUMN c text REFERENCES crops", ""),
    ("", "ALTER TABLE parcels ADD FOREIGN KEY (crop) REFERENCES crops NOT VALID", ""),
    ("", "ALTER TABLE parcels ADD CHECK (area > 0) NOT VALID", ""),
    ("LK005", "ALTER TABLE parcels ADD COLUMN u int UNIQUE", SCANS),
    ("LK005", "ALTER TABLE parcels ADD UNIQUE (name, crop)", SCANS),
    ("LK024", "ALTER TABLE parcels ADD COLUMN k serial", REWRITES),
    ("LK024", "ALTER TABLE parcels ADD COLUMN k bigint GENERATED ALWAYS AS (id * 2) STORED", REWRITES),
    ("", "ALTER TABLE parcels ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY", ""),
    ("LK022", "ALTER TABLE parcels ADD COLUMN k bigint DEFAULT nextval('numbers')", REWRITES),
    ("LK022", "ALTER TABLE parcels ADD COLUMN t timestamptz DEFAULT clock_timestamp()", REWRITES),
    ("LK022", "ALTER TABLE parcels ADD COLUMN r float8 DEFAULT random() * 2", REWRITES),
    ("", "ALTER TABLE parcels ADD COLUMN t timestamptz DEFAULT now()", ""),
    ("", "ALTER TABLE parcels ADD COLUMN t timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP", ""),
    ("", "ALTER TABLE parcels ADD COLUMN t timestamptz DEFAULT now() + interval '1 day'", ""),
    ("", "ALTER TABLE parcels ADD COLUMN n int NOT NULL DEFAULT 5", ""),
    ("", "ALTER TABLE parcels ADD COLUMN a text[] NOT NULL DEFAULT '{}'", ""),
    ("", "ALTER TABLE parcels ADD COLUMN j jsonb NOT NULL DEFAULT '{}'::jsonb", ""),
    ("", "ALTER TABLE parcels ADD COLUMN l text DEFAULT lower('X')", ""),
    ("LK020", "ALTER TABLE parcels ALTER COLUMN name TYPE varchar(10)", REWRITES),
    ("LK020", "ALTER TABLE parcels ALTER COLUMN area TYPE numeric(10,2) USING area * 2", REWRITES),
    ("LK020", "ALTER TABLE parcels ALTER COLUMN area TYPE numeric(12,4)", REWRITES),
    ("LK020", "ALTER TABLE parcels ALTER COLUMN sown TYPE date", REWRITES),
    ("", "ALTER TABLE parcels ALTER COLUMN name TYPE varchar(50)", ""),
    ("", "ALTER TABLE parcels ALTER COLUMN name TYPE text USING name::text", ""),
    ("", "ALTER TABLE parcels ALTER COLUMN area TYPE numeric", ""),
    ("LK013", "ALTER TABLE parcels ALTER COLUMN crop SET NOT NULL", SCANS),
    ("", "ALTER TABLE parcels ALTER COLUMN id SET NOT NULL", ""),
    ("", "ALTER TABLE stations ALTER COLUMN code SET NOT NULL", ""),
    ("LK006", "ALTER TABLE stations ADD PRIMARY KEY (code)", "lock AccessExclusive on stations; scan stations"),
    ("", "ALTER TABLE stations VALIDATE CONSTRAINT later", ""),
    ("LK016", "ALTER DOMAIN hectares SET NOT NULL", "lock Share on parcels; scan parcels"),
    ("LK030", "CLUSTER parcels USING parcels_pkey", REWRITES),
    ("LK004", "REINDEX INDEX parcels_name", "lock Share on parcels; rewrite parcels_name"),
    ("LK036", "LOCK TABLE parcels IN SHARE MODE", "lock Share on parcels"),
    ("LK043", "DELETE FROM parcels", "scan parcels; lock RowExclusive on parcels"),
    ("", "ALTER TABLE parcels DROP COLUMN area", ""),
    ("", "ALTER TABLE parcels RENAME COLUMN area TO hectares", ""),
    ("", "ALTER TABLE parcels ENABLE ROW LEVEL SECURITY", ""),
    ("", "ALTER TABLE parcels ALTER COLUMN name SET DEFAULT 'x'", ""),
]


@pytest.mark.every_server
@pytest.mark.parametrize(("code", "statement", "claimed"), VARIANTS, ids=[each[1] for each in VARIANTS])
def test_what_looks_alike_is_told_apart(code: str, statement: str, claimed: str, postgres_dsn: str):
    files = SourceFile("001_start.sql", START.encode()), SourceFile("002_change.sql", statement.encode())
    found = [each for each in examples.found(files, select=("LK",)) if each.place and each.place.path == files[1].path]
    assert [each.code for each in found if each.code not in UNASKED] == [code] * bool(code)
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        for each in START.split(";\n"):
            conn.execute(each)
        fill(conn)
        seen = Seen(conn, files=filenodes(conn))
        seen.begin()
        conn.execute(statement)
        seen.look()
        assert [each for each in claimed.split("; ") if each and not seen.holds(each)] == [], seen.told()
        if not code:
            assert {name for name, file in seen.files.items() if filenodes(conn)[name] != file} == set()
            strong = {name for name, modes in seen.modes.items() if modes & {"AccessExclusive", "ShareRowExclusive"}}
            assert {name for name in strong if seen.reads.get(name)} == set(), seen.told()


UNASKED = ("LK015",)
"""It is about what happens later."""


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
    assert tried > 200, tried


def test_a_type_that_is_not_postgresqls_own_is_not_judged():
    assert change("mood", "text") is Change.UNKNOWN
    assert change("int4", "positive") is Change.UNKNOWN
    assert re.fullmatch("unknown", change("geometry(Point,4326)", "text"))
