"""What the TS rules claim of their bad examples is what TimescaleDB does; their good examples and rewrites run.

Files run statement by statement, as psql does. After each one time goes by: an empty hypertable gets 60 days of rows,
an empty aggregate is refreshed from all of them, and every job runs once, retention first. So the last file finds what
a system finds that has been in use for a while. DML may decompress 100 rows here instead of 100,000.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from tests.core.lint import examples

from tidelock.app.reading import Reader
from tidelock.core.facts.draft import STRENGTH
from tidelock.core.lint.rule import RULES
from tidelock.core.source import SourceFile, migrations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tidelock.core.statement import Statement

Conn = psycopg.Connection[Any]

WITHOUT = {
    "TS004": "the server crashes (signal 11 on 2.28.3), so no test runs it",
    "TS018": "the rows come from applications, between two deploys: TS008 is the measured one",
    "TS023": "the loss comes with a later statement: TS022 is the measured one",
    "TS031": "the old names work",
    "TS053": "reads are slow, and right",
    "TS075": "what is lost has never been in the aggregate",
    "TS077": "work for nothing",
    "TS078": "work for nothing",
    "TS079": "work for nothing",
}
"""Rules that claim nothing that is read back, and why."""

CODES = [code for code in examples.codes() if code.startswith("TS")]


def claims(code: str) -> list[str]:
    """The claims of a rule's bad example on TimescaleDB."""
    last = examples.files(code, "bad")[-1].data.decode()
    return [each["claim"] for each in examples.CLAIM.finditer(last) if each["timescale"]]


def test_every_rule_has_a_claim_or_a_reason_for_none():
    assert {code for code in CODES if not claims(code)} == set(WITHOUT)
    assert {code for code in RULES if code.startswith("TS")} == set(CODES)


# Time goes by

EMPTY = "SELECT format('%I.%I', hypertable_schema, hypertable_name) FROM timescaledb_information.hypertables"
COLUMNS = """
SELECT attname, atttypid::regtype::text FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''
"""
VALUES = {
    "timestamp with time zone": "now() - g * interval '1 hour'",
    "integer": "g % 3",
    "bigint": "g",
    "double precision": "g % 20",
    "text": "'x'",
}
JOBS = """
SELECT job_id FROM timescaledb_information.jobs WHERE job_id >= 1000 AND scheduled
ORDER BY proc_name <> 'policy_retention', proc_name <> 'policy_refresh_continuous_aggregate', job_id
"""


def time_goes_by(conn: Conn) -> None:
    """Rows come in, aggregates are filled, jobs run."""
    for (table,) in conn.execute(EMPTY).fetchall():
        if conn.execute(f"SELECT FROM {table} LIMIT 1").fetchone() is None:
            found = conn.execute(COLUMNS, (table,)).fetchall()
            names = ", ".join(name for name, _ in found)
            values = ", ".join(VALUES[kind] for _, kind in found)
            conn.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(0, 1440) g")
    for (name,) in conn.execute("SELECT view_name FROM timescaledb_information.continuous_aggregates").fetchall():
        if rows(conn, name) == 0:
            conn.execute(sql.SQL("CALL refresh_continuous_aggregate({}, NULL, NULL)").format(name))
    for (job,) in conn.execute(JOBS).fetchall():
        conn.execute(sql.SQL("CALL run_job({})").format(job))


def rows(conn: Conn, name: str) -> int:
    """How many there are; 0 when there is no such relation."""
    if conn.execute("SELECT to_regclass(%s)", (name,)).fetchone() == (None,):
        return 0
    found = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
    assert found
    return int(found[0])


SETTINGS = """
SELECT hypertable_name, proc_name || config::text FROM timescaledb_information.jobs WHERE job_id >= 1000
UNION ALL SELECT hypertable_name, column_name || time_interval FROM timescaledb_information.dimensions
UNION ALL SELECT view_name, view_definition FROM timescaledb_information.continuous_aggregates ORDER BY 1, 2
"""
LOCKS = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted
"""
CHUNKS = "SELECT hypertable_name, chunk_name FROM timescaledb_information.chunks"


def statements(sources: Iterable[SourceFile]) -> Iterator[list[Statement]]:
    """The statements of each file."""
    read = migrations(tuple(sources))
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
    for each in read:
        yield list(reader.script(each).statements)


@dataclass
class Seen:
    """What the last file did."""

    conn: Conn
    chunks: dict[str, list[str]] = field(default_factory=dict)
    modes: dict[str, set[str]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    """Relation → rows."""
    settings: list[Any] = field(default_factory=list)
    error: str = ""
    notices: list[str] = field(default_factory=list)

    def holds(self, claim: str) -> bool:
        """Whether a claim is true."""
        match claim.split():
            case ["error" | "alone", state]:
                return self.error == state
            case ["lock", mode, "on", name]:
                held = [self.modes.get(each, set()) for each in (name, *self.chunks.get(name, []))]
                return all(any(STRENGTH[one] >= STRENGTH[mode] for one in each) for each in held)
            case ["notice", *words]:
                return not self.error and any(" ".join(words) in each for each in self.notices)
            case ["changes", "nothing"]:
                return not self.error and self.settings == self.conn.execute(SETTINGS).fetchall()
            case ["loses", name]:
                return not self.error and rows(self.conn, name) < self.before[name]
            case ["nulls", name]:
                return not self.error and nulls(self.conn, name) > 0
        raise AssertionError(f"no such claim: {claim}")


def nulls(conn: Conn, name: str) -> int:
    """Rows in which `table.column` is NULL; not by WHERE, which the planner answers from the NOT NULL constraint."""
    table, column = map(sql.Identifier, name.split("."))
    query = sql.SQL("SELECT count(*) FILTER (WHERE {} IS NULL) FROM {}")
    found = conn.execute(query.format(column, table)).fetchone()
    assert found
    return int(found[0])


def begin(conn: Conn) -> None:
    """No job runs by itself in this database."""
    conn.execute("SELECT _timescaledb_functions.stop_background_workers()")
    conn.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 100")


def run(conn: Conn, found: list[Statement], *, alone: bool = False) -> None:
    """Statement by statement; with `alone` as Tidelock does, what must be the first of a session in one of its own."""
    for statement in found:
        if alone and statement.facts.first_in_session:
            with psycopg.connect(conn.info.dsn, autocommit=True) as first:
                first.execute(statement.text)
        else:
            conn.execute(statement.text)


def watched(conn: Conn, sources: Iterable[SourceFile], claimed: list[str]) -> Seen:
    """Run all files, and look at the last one."""
    *before, last = statements(sources)
    begin(conn)
    for each in before:
        run(conn, each)
        time_goes_by(conn)
    seen = Seen(conn, settings=conn.execute(SETTINGS).fetchall())
    for table, chunk in conn.execute(CHUNKS):
        seen.chunks.setdefault(table, []).append(chunk)
    seen.before = {name: rows(conn, name) for name in ("readings", "hourly")}
    conn.add_notice_handler(lambda notice: seen.notices.append(notice.message_primary or ""))
    block = any(each.startswith(("lock", "alone")) for each in claimed)
    try:
        if block:
            conn.execute("BEGIN")
        run(conn, last, alone=not claimed)
        for name, mode in conn.execute(LOCKS):
            seen.modes.setdefault(name, set()).add(mode.removesuffix("Lock"))
        if block:
            conn.execute("COMMIT")
        time_goes_by(conn)
    except psycopg.Error as error:
        seen.error = error.sqlstate or "connection lost"
        conn.rollback()
    return seen


SINCE = {"TS005": ">= 2.28", "TS050": ">= 2.28", "TS072": ">= 2.28"}
"""What TimescaleDB 2.20.3 does otherwise."""


def codes(but: Collection[str] = ()) -> list[Any]:
    """The rules that are asked for, each on the versions that it is true of."""
    return [
        pytest.param(each, marks=pytest.mark.timescale(SINCE[each])) if each in SINCE else each
        for each in CODES
        if each not in but
    ]


@pytest.mark.parametrize("code", codes(WITHOUT))
def test_what_a_rule_claims_is_what_the_server_does(code: str, timescale_dsn: str):
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        seen = watched(conn, examples.files(code, "bad"), claims(code))
        assert [each for each in claims(code) if not seen.holds(each)] == [], seen
        if any(each.startswith("alone") for each in claims(code)):
            run(conn, [*statements(examples.files(code, "bad"))][-1])


@pytest.mark.parametrize("code", codes())
def test_a_good_example_runs_and_loses_nothing(code: str, timescale_dsn: str):
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        seen = watched(conn, examples.files(code, "good"), [])
        assert seen.error == "", seen.notices
        for claim in claims(code):
            if claim.startswith("loses"):
                assert not seen.holds(claim)


@pytest.mark.parametrize("code", codes(("TS015",)))
def test_a_rewrite_runs(code: str, timescale_dsn: str):
    """What is proposed instead of a bad statement is accepted. (That of TS015 has a place to fill in.)"""
    sources = examples.files(code, "bad")
    found = [each for each in examples.found(sources, select=(code,)) if each.rewrite and each.place]
    if not found:
        pytest.skip(f"{code} proposes no statement")
    place = found[0].place
    assert place
    *before, last = statements(sources)
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        begin(conn)
        for each in before:
            run(conn, each)
            time_goes_by(conn)
        [instead] = statements([SourceFile("001_rewrite.sql", found[0].rewrite.encode())])
        for statement in last:
            run(conn, instead if statement.place == place else [statement])
        time_goes_by(conn)


def test_a_column_keeps_its_default_when_chunks_are_recompressed_first(timescale_dsn: str):
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        seen = watched(conn, examples.files("TS022", "good"), [])
        assert seen.error == ""
        assert nulls(conn, "readings.state") == 0


# Variants: what is refused, and what looks alike and is not

START = """
CREATE TABLE r (time timestamptz NOT NULL, device int NOT NULL, v double precision, n int);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '7 days');
CREATE TABLE s (time timestamptz NOT NULL, device int NOT NULL, n int, UNIQUE (device, time));
SELECT create_hypertable('s', 'time');
CREATE TABLE c (time timestamptz NOT NULL, device int NOT NULL, v double precision, n int, m int);
SELECT create_hypertable('c', 'time');
ALTER TABLE c SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
CALL add_columnstore_policy('c', INTERVAL '7 days');
CREATE TABLE p (time timestamptz NOT NULL, id int PRIMARY KEY, n int);
CREATE TABLE secret (time timestamptz NOT NULL, n int);
SELECT create_hypertable('secret', 'time');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE MATERIALIZED VIEW h WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, device, avg(v) AS v FROM r GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW d WITH (timescaledb.continuous) AS
SELECT time_bucket(INTERVAL '1 day', bucket) AS bucket, device, avg(v) AS v FROM h GROUP BY 1, 2 WITH NO DATA;
SELECT add_continuous_aggregate_policy('h', INTERVAL '10 days', INTERVAL '1 hour', INTERVAL '1 hour');
SELECT add_retention_policy('r', INTERVAL '30 days');
CREATE INDEX r_n ON r (n);
"""
SELECT = "SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, count(*) AS n"
EMPTY_ONE = "WITH NO DATA"
VARIANTS = [
    # (what fires, statement, the SQLSTATE of its refusal; "" when the server accepts it)
    ("TS001", "CREATE INDEX CONCURRENTLY ON h (device)", "0A000"),
    ("TS006", "REINDEX INDEX r_n", "0A000"),
    ("TS006", "REINDEX INDEX r_time_idx", "0A000"),
    ("TS006", "REINDEX TABLE CONCURRENTLY r", "0A000"),
    ("", "REINDEX TABLE r", ""),
    ("TS007", "ALTER TABLE r ADD PRIMARY KEY (device)", "TS103"),
    ("TS007", "ALTER TABLE r ADD CONSTRAINT one UNIQUE (device)", "TS103"),
    ("TS007", "CREATE UNIQUE INDEX ON r (device)", "TS103"),
    ("TS007", "ALTER TABLE r ADD COLUMN k int UNIQUE", "TS103"),
    ("TS007", "ALTER TABLE r ADD COLUMN k bigserial PRIMARY KEY", "TS103"),
    ("TS007", "SELECT create_hypertable('p', 'time')", "TS103"),
    ("", "ALTER TABLE r ADD PRIMARY KEY (device, time)", ""),
    ("TS009", "ALTER TABLE ONLY r ADD COLUMN k int", "0A000"),
    ("TS009", "TRUNCATE ONLY s", "42809"),
    ("TS009", "CREATE TABLE child () INHERITS (r)", "0A000"),
    ("TS009", "ALTER TABLE r ADD FOREIGN KEY (device, time) REFERENCES s (device, time)", "0A000"),
    ("TS009", "ALTER TABLE s DROP COLUMN time", "42P16"),
    ("TS009", "ALTER TABLE s ALTER COLUMN time DROP NOT NULL", "TS101"),
    ("", "ALTER TABLE r ADD FOREIGN KEY (device) REFERENCES p (id) NOT VALID", ""),
    ("TS012", "SELECT create_hypertable('r', 'time')", "TS110"),
    ("TS020", "ALTER TABLE c ADD COLUMN k int NOT NULL", "0A000"),
    ("TS020", "ALTER TABLE c ADD COLUMN k uuid DEFAULT gen_random_uuid()", "0A000"),
    ("TS020", "ALTER TABLE c ADD COLUMN k int GENERATED ALWAYS AS IDENTITY", "0A000"),
    ("TS020", "ALTER TABLE c ADD COLUMN k int GENERATED ALWAYS AS (n * 2) STORED", "0A000"),
    ("TS020", "ALTER TABLE c ADD COLUMN k int REFERENCES p", "0A000"),
    ("TS023", "ALTER TABLE c ADD COLUMN k int NOT NULL DEFAULT 5", ""),
    ("", "ALTER TABLE c ADD COLUMN k int", ""),
    ("", "ALTER TABLE c ADD COLUMN k int CHECK (k > 0)", ""),
    ("TS024", "ALTER TABLE c ALTER COLUMN n TYPE bigint", "0A000"),
    ("TS024", "ALTER TABLE c ALTER COLUMN n TYPE text", "0A000"),
    ("TS025", "ALTER TABLE c FORCE ROW LEVEL SECURITY", "0A000"),
    ("TS025", "ALTER TABLE secret SET (timescaledb.compress)", "0A000"),
    ("TS029", "DELETE FROM c WHERE v = 1", "53400"),
    ("", "DELETE FROM c", ""),
    ("TS030", "ALTER TABLE c DROP COLUMN device", "0A000"),
    ("", "ALTER TABLE c DROP COLUMN m", ""),
    ("TS032", "ALTER TABLE p SET (timescaledb.compress)", "22023"),
    ("TS032", "SELECT add_retention_policy('p', INTERVAL '1 day')", "TS001"),
    ("TS044", "ALTER TABLE r DROP COLUMN v", "2BP01"),
    ("TS044", "ALTER TABLE r ALTER COLUMN v TYPE real", "0A000"),
    ("TS044", "DROP TABLE r", "2BP01"),
    ("", "ALTER TABLE r ALTER COLUMN n TYPE bigint", ""),
    ("", "ALTER TABLE r DROP COLUMN n", ""),
    ("TS046", "DROP VIEW h", "0A000"),
    ("TS046", "DROP VIEW IF EXISTS h CASCADE", "0A000"),
    ("TS046", "DROP TABLE d", "42809"),
    ("TS046", "ALTER VIEW h RENAME TO other", "0A000"),
    ("TS046", "ALTER VIEW h SET (timescaledb.materialized_only = false)", "0A000"),
    ("TS046", "REFRESH MATERIALIZED VIEW h", "0A000"),
    ("TS046", "ALTER MATERIALIZED VIEW h ADD COLUMN k int", "0A000"),
    ("TS046", "ALTER MATERIALIZED VIEW h DROP COLUMN v", "0A000"),
    ("TS050", "ALTER MATERIALIZED VIEW h ADD COLUMN k float8 GENERATED ALWAYS AS (max(v)) STORED", ""),
    ("", "ALTER MATERIALIZED VIEW h RENAME TO other", ""),
    ("", "ALTER MATERIALIZED VIEW h SET (timescaledb.materialized_only = false)", ""),
    (
        "TS052",
        f"CREATE MATERIALIZED VIEW x WITH (timescaledb.continuous) AS {SELECT} FROM secret GROUP BY 1 {EMPTY_ONE}",
        "0A000",
    ),
    (
        "TS052",
        f"CREATE MATERIALIZED VIEW x WITH (timescaledb.continuous) AS {SELECT} FROM p GROUP BY 1 {EMPTY_ONE}",
        "0A000",
    ),
    (
        "TS072",
        "SELECT add_continuous_aggregate_policy('h', INTERVAL '9 days', INTERVAL '1 hour', INTERVAL '1 hour')",
        "22023",
    ),
    (
        "TS072",
        "SELECT add_continuous_aggregate_policy('h', INTERVAL '10 days', INTERVAL '1 hour', INTERVAL '1 hour')",
        "22023",
    ),
    ("", "SELECT add_continuous_aggregate_policy('h', INTERVAL '20 days', INTERVAL '10 days', INTERVAL '1 hour')", ""),
    (
        "TS073",
        "SELECT add_continuous_aggregate_policy('d', INTERVAL '2 days', INTERVAL '1 day', INTERVAL '1 hour')",
        "22023",
    ),
    ("", "SELECT add_continuous_aggregate_policy('d', INTERVAL '3 days', INTERVAL '1 day', INTERVAL '1 hour')", ""),
    ("TS071", "SELECT add_retention_policy('r', INTERVAL '30 days')", "42710"),
    ("", "SELECT add_retention_policy('r', INTERVAL '720 hours', if_not_exists => true)", ""),
    ("TS076", "SELECT add_compression_policy('r', INTERVAL '10 days')", "0A000"),
    ("TS080", "SELECT add_retention_policy('s', 30)", "22023"),
    ("TS080", "SELECT add_continuous_aggregate_policy('h', 30, 3, INTERVAL '1 hour')", "22023"),
]


@pytest.mark.timescale(">= 2.28")
def test_what_looks_alike_is_told_apart(timescale_dsn: str):
    """All in one database, each in a transaction of its own that is rolled back, or alone when none may hold it."""
    wrong: list[str] = []
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        begin(conn)
        [start] = statements([SourceFile("001_start.sql", START.encode())])
        run(conn, start)
        time_goes_by(conn)
        for code, statement, state in VARIANTS:
            files = SourceFile("001_start.sql", START.encode()), SourceFile("002_change.sql", statement.encode())
            found = examples.found(files, select=("TS",))
            codes = {each.code for each in found if each.place and each.place.path == "002_change.sql"} - UNASKED
            if codes != {code} - {""}:
                wrong.append(f"{statement}: {sorted(codes)} instead of {code or 'nothing'}")
            if (seen := refusal(conn, statement)) != state:
                wrong.append(f"{statement}: {seen or 'accepted'} instead of {state or 'accepted'}")
    assert "\n".join(wrong) == ""


UNASKED = {"TS002", "TS018", "TS031", "TS049"}
"""What blocks, rows of before, an old name, and what a later refresh does: not what is told apart here."""


def refusal(conn: Conn, statement: str) -> str:
    """The SQLSTATE with which a statement is refused; it leaves nothing behind."""
    block = not statement.startswith(("CREATE INDEX CONCURRENTLY", "REINDEX TABLE CONCURRENTLY"))
    try:
        conn.execute("BEGIN" if block else "SELECT 1")
        conn.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "connection lost"
    finally:
        conn.rollback()
    return ""
