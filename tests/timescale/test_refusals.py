"""What TimescaleDB refuses is refused by Tidelock first, in its own words; what it takes is never refused."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.core.lint import examples
from tests.postgres.test_apply import ok
from tests.rig.project import Project
from tests.rig.requirement import missing
from tests.timescale.test_rule_claims import CODES, START, VARIANTS, begin, claims, time_goes_by

from tidelock.core.lint.rule import RULES
from tidelock.core.model import Place
from tidelock.core.steps import steps_of
from tidelock.postgres.database import PostgresDatabase
from tidelock.timescale import denials
from tidelock.timescale.denials import EditionLacks, ExtensionMissing, ServerRefuses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tidelock.app.apply import Run
    from tidelock.core.step import Step
    from tidelock.errors import TidelockError

MORE = """
CREATE TABLE full_one (time timestamptz NOT NULL, n int);
INSERT INTO full_one VALUES (now(), 1);
CREATE TABLE empty_one (time timestamptz NOT NULL, n int);
SELECT compress_chunk(c) FROM show_chunks('c', older_than => INTERVAL '20 days') c;
"""
UNMARKED = {
    "TS004": "",
    "TS008": "asked of the rows themselves",
    "TS015": "which job it is depends on the database",
    "TS016": "which chunk it is depends on the database",
    "TS017": "Tidelock opens a session for it",
    "TS027": "a row that breaks the constraint",
    "TS029": "how many rows it meets",
    "TS041": "a DO block need not come there",
    "TS051": "depends on the minute",
}
"""Rules whose statement the server refuses, and of which that is not certain before."""


def test_every_rule_that_claims_an_error_is_asked_or_says_why_not():
    for code in (each for each in RULES if each.startswith("TS") and each not in UNMARKED):
        states = [each.split()[1] for each in claims(code) if each.startswith("error")]
        assert set(states) <= set(RULES[code].refused), code
        assert bool(RULES[code].refused) == bool(states), code


def test_what_an_older_timescaledb_takes_is_not_said_to_be_refused_there():
    assert not denials.Standing(version="2.20.3").refuses("TS005")
    assert denials.Standing(version="2.20.3").refuses("TS001")
    assert denials.Standing(version="2.28.0").refuses("TS005")
    assert not denials.Standing(version="2.30.0-dev").measured


@pytest.fixture
def lived(project: Project) -> Project:
    """A system in use: hypertables, compressed chunks, aggregates, policies."""
    project.write("001_start.sql", START)
    ok(project.apply())
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        begin(conn)
        time_goes_by(conn)
        conn.execute(MORE)
    return project


def failure(project: Project) -> TidelockError | None:
    """What `apply` ends with."""
    return project.apply().failure


STATE = """
SELECT string_agg(c::text, ' ' ORDER BY c::text) FROM (
  SELECT oid::regclass || ' ' || relnatts || coalesce(reloptions::text, '') FROM pg_class WHERE oid > 16384
   UNION ALL SELECT conname FROM pg_constraint UNION ALL SELECT config::text FROM timescaledb_information.jobs) x (c)
"""

REFUSED = [
    # (statement, the SQLSTATE of its refusal through psycopg, a word of ours)
    ("CREATE INDEX CONCURRENTLY ON r (device)", "0A000", "CONCURRENTLY"),
    ("CREATE INDEX CONCURRENTLY ON h (device)", "0A000", "continuous aggregate"),
    ("CREATE INDEX CONCURRENTLY IF NOT EXISTS r_n ON r (n)", "0A000", "CONCURRENTLY"),
    ("CREATE UNIQUE INDEX ON r (device, time) WITH (timescaledb.transaction_per_chunk)", "0A000", "chunk by chunk"),
    ("DROP INDEX CONCURRENTLY r_n", "0A000", "each chunk"),
    ("REINDEX TABLE CONCURRENTLY r", "0A000", "CONCURRENTLY"),
    ("REINDEX INDEX r_n", "0A000", "REINDEX TABLE"),
    ("CREATE RULE nothing AS ON INSERT TO r DO NOTHING", "0A000", "rules"),
    ("DROP VIEW h", "0A000", "DROP MATERIALIZED VIEW"),
    ("ALTER VIEW h RENAME TO other", "0A000", "ALTER MATERIALIZED VIEW"),
    ("REFRESH MATERIALIZED VIEW h", "0A000", "refresh_continuous_aggregate"),
    ("CREATE UNIQUE INDEX ON h (bucket)", "0A000", "unique"),
    ("CREATE OR REPLACE MATERIALIZED VIEW h AS SELECT 1 AS n", "42601", "CREATE OR REPLACE"),
    ("SELECT create_hypertable('full_one', 'time')", "0A000", "has rows"),
    ("SELECT create_hypertable('full_one', by_range('time'))", "0A000", "has rows"),
    ("ALTER TABLE c ADD COLUMN k timestamptz DEFAULT now()", "0A000", "constant"),
    ("ALTER TABLE c ENABLE ROW LEVEL SECURITY", "0A000", "row security"),
    ("ALTER TABLE c DISABLE ROW LEVEL SECURITY", "0A000", "row security"),
    ("ALTER TABLE c SET (timescaledb.enable_columnstore = false)", "0A000", "compressed chunks"),
    ("ALTER TABLE public.c ALTER COLUMN n TYPE bigint", "0A000", "compressed chunks"),
    ("SELECT add_compression_policy('c', INTERVAL '7 days')", "42710", "in this database already"),
    ("CALL add_columnstore_policy('c', (SELECT INTERVAL '9 days'))", "0A000", "subquery"),
    ("CALL refresh_continuous_aggregate('h', (SELECT now() - INTERVAL '9 days'), now())", "0A000", "subquery"),
    *((statement, state, "") for code, statement, state in VARIANTS if state and code not in UNMARKED),
]
LOSS = "-- tidelock: accept-loss h: a test\n-- tidelock: accept-loss d: a test\n"
CALMS = [
    "ALTER TABLE c ADD COLUMN k int",
    "ALTER TABLE c ADD COLUMN k int NOT NULL DEFAULT 5",
    "ALTER TABLE c ADD CONSTRAINT positive CHECK (n > -1)",
    "ALTER TABLE c DROP COLUMN m",
    "SELECT add_retention_policy('r', INTERVAL '30 days', if_not_exists => true)",
    "SELECT add_retention_policy('r', INTERVAL '99 days', true)",
    (
        "SELECT add_continuous_aggregate_policy('h', INTERVAL '240 hours', INTERVAL '60 minutes', INTERVAL '1 hour', "
        "if_not_exists => true)"
    ),
    "SELECT create_hypertable('r', 'time', if_not_exists => true)",
    "SELECT create_hypertable('full_one', 'time', migrate_data => true)",
    "SELECT create_hypertable('empty_one', 'time')",
    (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS h WITH (timescaledb.continuous) AS "
        "SELECT time_bucket(INTERVAL '1 hour', time) AS bucket, device, avg(v) AS v FROM r GROUP BY 1, 2 WITH NO DATA"
    ),
    # what an earlier statement, or an earlier file, makes right
    f"{LOSS}DROP MATERIALIZED VIEW d; DROP MATERIALIZED VIEW h; ALTER TABLE r ALTER COLUMN v TYPE real",
    "SELECT remove_retention_policy('r'); SELECT add_retention_policy('r', INTERVAL '90 days')",
    "ALTER TABLE p DROP CONSTRAINT p_pkey; SELECT create_hypertable('p', 'time')",
    "DELETE FROM full_one; SELECT create_hypertable('full_one', 'time')",
    "SELECT decompress_chunk(c, true) FROM show_chunks('c') c; ALTER TABLE c ALTER COLUMN n TYPE bigint",
    "ALTER TABLE secret DISABLE ROW LEVEL SECURITY; ALTER TABLE secret SET (timescaledb.compress)",
    (
        "CREATE FUNCTION lower_it() RETURNS void LANGUAGE sql AS 'SELECT remove_retention_policy(''r'')'; "
        "SELECT lower_it(); SELECT add_retention_policy('r', INTERVAL '90 days')"
    ),
    (
        "DO $$ BEGIN EXECUTE 'DROP RULE IF EXISTS x ON p'; PERFORM remove_retention_policy('r'); END $$; "
        "SELECT add_retention_policy('r', INTERVAL '90 days')"
    ),
    "DO $$ BEGIN IF false THEN ALTER TABLE r ADD PRIMARY KEY (device); END IF; END $$",
    "\\if false\nALTER TABLE r ADD PRIMARY KEY (device);\n\\endif\nSELECT 1",
    "SELECT to_regclass('nothing') IS NOT NULL AS there \\gset\n\\if :there\nDROP VIEW h;\n\\endif\nSELECT 1",
    (
        "SELECT add_retention_policy('r', INTERVAL '90 days') WHERE NOT EXISTS (SELECT FROM timescaledb_information.jobs "
        "WHERE proc_name = 'policy_retention' AND hypertable_name = 'r')"
    ),
    "SELECT CASE WHEN false THEN add_retention_policy('r', INTERVAL '90 days') END",
    "SELECT remove_retention_policy('r') WHERE now() > '2000-01-01'; SELECT add_retention_policy('r', INTERVAL '90 days')",
    # another table of that name
    (
        "CREATE SCHEMA app; CREATE TABLE app.r (id int PRIMARY KEY); SET search_path = app; "
        "CREATE RULE nothing AS ON INSERT TO r DO NOTHING"
    ),
    "CREATE TABLE plain (id int); CREATE RULE nothing AS ON INSERT TO plain DO NOTHING",
    *(statement for _, statement, state in VARIANTS if not state),
]


@pytest.mark.timescale(">= 2.28")
def test_each_refusal_is_told_before_the_server_tells_it(lived: Project):
    wrong = []
    for number, (statement, state, word) in enumerate(REFUSED):
        if (seen := sqlstate(lived, statement)) != state:
            wrong.append(f"{statement}: the server says {seen}, not {state}")
        before = lived.one(STATE)
        path = lived.write("002_change.sql", f"SELECT {number};\n{statement};\n")
        found = failure(lived)
        if not isinstance(found, ServerRefuses):
            wrong.append(f"{statement}: {found and found.message}")
        elif word not in f"{found.message} {found.hint}" or found.findings[0].place != Place(str(path), 2, 1):
            wrong.append(f"{statement}: {found.message} {found.hint} {found.findings[0].place}")
        if lived.one(STATE) != before or lived.versions() != [1]:
            wrong.append(f"{statement}: something changed")
    assert "\n".join(wrong) == ""


def sqlstate(project: Project, statement: str) -> str | None:
    """What the server itself says to a statement."""
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        try:
            conn.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
    return None


def copied(admin: psycopg.Connection[Any], name: str) -> None:
    """A copy of a database, as soon as nobody is in it: a session that was closed takes a moment to be gone.

    On a busy server its scheduler may have started only after it was told to stop; one that is ended stays away.
    """
    for _ in range(100):
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            admin.execute(f'CREATE DATABASE "{name}_b" TEMPLATE "{name}"'.encode())
        except psycopg.errors.ObjectInUse:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{name} is in use")


@pytest.mark.timescale(">= 2.28")
def test_what_the_server_takes_is_not_refused(lived: Project):
    """Each in a copy of the database."""
    wrong = []
    name = conninfo_to_dict(lived.dsn)["dbname"]
    lived.query("SELECT _timescaledb_functions.stop_background_workers()")  # a database in use cannot be copied
    copy = Project(lived.folder, make_conninfo(lived.dsn, dbname=f"{name}_b"))
    with psycopg.connect(make_conninfo(lived.dsn, dbname="postgres"), autocommit=True) as admin:
        for statement in CALMS:
            copied(admin, str(name))
            try:
                lived.write("002_change.sql", f"{statement};\n")
                found = copy.apply().failure
            finally:
                admin.execute(f'DROP DATABASE "{name}_b" WITH (FORCE)'.encode())
            if found:
                wrong.append(f"{statement}: {found.code} {found.message}")
    assert "\n".join(wrong) == ""


@pytest.mark.parametrize("code", CODES)
def test_no_good_example_is_refused(code: str, project: Project):
    *before, last = examples.files(code, "good")
    for each in before:
        project.write(each.path, each.data)
    if before:
        ok(project.apply())
        with psycopg.connect(project.dsn, autocommit=True) as conn:
            begin(conn)
            time_goes_by(conn)
    project.write(last.path, last.data)
    found = project.apply().failure
    assert found is None or not found.code.startswith("D04"), found.message


def test_all_refusals_are_told_at_once_with_what_to_write_instead(lived: Project):
    lived.write("002_index.sql", "CREATE INDEX CONCURRENTLY r_device ON r (device);\n")
    lived.write("003_view.sql", "SELECT 1;\nDROP VIEW h;\n")
    done = lived.tidelock("apply")
    assert done.returncode == 5
    assert "D041" in done.stderr
    assert "and 1 more statement" in done.stderr
    assert "WITH (timescaledb.transaction_per_chunk)" in done.stderr
    assert "DROP MATERIALIZED VIEW h" in done.stderr
    assert "003_view.sql:2:1" in done.stderr
    planned = lived.tidelock("plan")
    assert planned.returncode == 5
    assert "D041" in planned.stderr


def test_an_allowance_lets_the_server_decide(lived: Project):
    lived.write("002_view.sql", "-- tidelock: allow TS046: to see what it says\nDROP VIEW h;\n")
    found = failure(lived)
    assert found is not None
    assert found.code == "D010"


def test_a_policy_without_a_compressed_chunk_refuses_no_type(project: Project):
    project.write("001_start.sql", START)
    ok(project.apply())
    project.write("002_type.sql", "ALTER TABLE c ALTER COLUMN n TYPE bigint;")
    ok(project.apply())


@pytest.mark.timescale(">= 2.28")
@pytest.mark.parametrize(
    "statement", ["ALTER TABLE c ALTER COLUMN n TYPE bigint", "ALTER TABLE c SET (timescaledb.compress = false)"]
)
def test_chunks_that_were_compressed_by_hand_count(lived: Project, statement: str):
    lived.query("SELECT remove_compression_policy('c')")
    lived.write("900_x.sql", statement)
    report = lived.apply()
    assert report.failure is not None
    assert (report.failure.code, "compressed chunks" in report.failure.message) == ("D041", True), report.failure


def test_an_earlier_file_makes_it_right(lived: Project):
    lived.write("002_gone.sql", f"{LOSS}DROP MATERIALIZED VIEW d; DROP MATERIALIZED VIEW h;")
    lived.write("003_type.sql", "ALTER TABLE r ALTER COLUMN v TYPE real;")
    lived.write("004_empty.sql", "CREATE TABLE n (time timestamptz NOT NULL, id int);")
    lived.write("005_hypertable.sql", "SELECT create_hypertable('n', 'time');")
    ok(lived.apply())


def test_what_an_earlier_run_has_done_is_not_asked_about_again(lived: Project):
    lived.write(
        "002_parts.sql",
        "SELECT add_retention_policy('s', INTERVAL '90 days');\nVACUUM r;\nCREATE TABLE parts (id int);\nSELECT 1 / n FROM one;\n",
    )
    failed = failure(lived)
    assert failed is not None
    assert failed.code == "D010"
    assert lived.one("SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_name = 's'") == 1
    lived.query("CREATE TABLE one AS SELECT 1 AS n")
    ok(lived.apply())


def test_the_apache_edition_is_told_of(tmp_path: Path, apache_dsn: str):
    folder = tmp_path / "migrations"
    folder.mkdir()
    project = Project(folder, apache_dsn)
    project.write(
        "001_r.sql", "CREATE TABLE r (time timestamptz NOT NULL, v float8);\nSELECT create_hypertable('r', 'time');\n"
    )
    ok(project.apply())
    for statement, word in APACHE:
        assert sqlstate(project, statement) == "0A000", statement
        project.write("002_more.sql", f"{statement};\n")
        found = failure(project)
        assert isinstance(found, EditionLacks), statement
        assert word in found.message
        assert project.versions() == [1]
    project.write(
        "002_more.sql", "SELECT drop_chunks('r', INTERVAL '1 day'); SELECT compress_chunk(c) FROM show_chunks('r') c;\n"
    )
    ok(project.apply())


APACHE = [
    (
        (
            "CREATE MATERIALIZED VIEW h WITH (timescaledb.continuous) AS "
            "SELECT time_bucket('1 hour', time) AS b, avg(v) FROM r GROUP BY 1 WITH NO DATA"
        ),
        "continuous aggregate h",
    ),
    ("ALTER TABLE r SET (timescaledb.compress)", "columnstore on r"),
    ("ALTER TABLE r SET (timescaledb.enable_columnstore)", "columnstore on r"),
    ("SELECT add_retention_policy('r', INTERVAL '30 days')", "add_retention_policy()"),
    ("CALL add_columnstore_policy('r', INTERVAL '30 days')", "add_columnstore_policy()"),
    ("SELECT compress_chunk('r')", "compress_chunk()"),
    ("SELECT add_job('now', '1h')", "add_job()"),
    ("CALL refresh_continuous_aggregate('r', NULL, NULL)", "refresh_continuous_aggregate()"),
]


@pytest.fixture
def apache_dsn() -> Iterator[str]:
    """An empty database on a server of the Apache edition."""
    dsn = os.environ.get(APACHE_SERVER)
    if not dsn:
        missing("TimescaleDB, Apache edition", f"set {APACHE_SERVER} to the DSN of such a server", package=False)
    with psycopg.connect(dsn, autocommit=True) as admin:
        name = f"tl_apache_{uuid.uuid4().hex[:8]}"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        own = make_conninfo(dsn, dbname=name)
        with psycopg.connect(own, autocommit=True) as conn:
            conn.execute("SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS timescaledb")
        yield own
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


APACHE_SERVER = "TIDELOCK_TEST_TIMESCALE_APACHE_DSN"


def test_a_database_without_the_extension_is_told_of(project: Project):
    project.query("DROP EXTENSION timescaledb")
    project.write("001_r.sql", "CREATE TABLE r (time timestamptz NOT NULL);\nSELECT create_hypertable('r', 'time');\n")
    found = failure(project)
    assert isinstance(found, ExtensionMissing)
    assert "CREATE EXTENSION" in found.hint
    assert "create_hypertable()" in found.message
    assert sqlstate(project, "SELECT create_hypertable('pg_class', 'time')") == "42883"
    project.write("001_r.sql", "CREATE TABLE r (time timestamptz NOT NULL) WITH (tsdb.hypertable);\n")
    found = failure(project)
    assert isinstance(found, ExtensionMissing)
    assert "tsdb.hypertable" in found.message
    project.write(
        "001_r.sql",
        "CREATE EXTENSION timescaledb;\nCREATE TABLE r (time timestamptz NOT NULL, n int);\n"
        "SELECT create_hypertable('r', 'time');\nCREATE RULE nothing AS ON INSERT TO r DO NOTHING;\n",
    )
    found = failure(project)
    assert isinstance(found, ServerRefuses)
    assert "rules" in found.message
    project.write(
        "001_r.sql",
        "CREATE EXTENSION timescaledb;\nCREATE TABLE r (time timestamptz NOT NULL, n int);\nSELECT create_hypertable('r', 'time');\n",
    )
    ok(project.apply())


def test_a_version_below_what_a_file_requires_is_told_of(project: Project):
    project.write("001_r.sql", "-- tidelock: requires timescaledb >= 99.1\nSELECT 1;\n")
    found = failure(project)
    assert found is not None
    assert found.code == "D005"
    assert "99.1" in found.message


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX r_x ON r (device) WITH (timescaledb.transaction_per_chunk)",
        "CALL refresh_continuous_aggregate('h', NULL, NULL)",
        (
            "CREATE MATERIALIZED VIEW x WITH (timescaledb.continuous) AS "
            "SELECT time_bucket('1 hour', time) AS b, count(*) AS n FROM r GROUP BY 1"
        ),
    ],
)
def test_what_no_transaction_may_hold_is_refused_in_the_files_own(statement: str, lived: Project):
    lived.write("002_own.sql", f"BEGIN;\n{statement};\nCOMMIT;\n")
    found = failure(lived)
    assert found is not None
    assert found.code == "S041"
    with psycopg.connect(lived.dsn) as conn, pytest.raises(psycopg.Error) as seen:
        conn.execute(statement.encode())
    assert seen.value.sqlstate == "25001"


def test_the_extension_is_updated_as_the_first_command_of_a_session(project: Project):
    """The newest version is there already: what is told apart is whether the server takes the command."""
    project.write(
        "001_update.sql",
        "SELECT 1;\nALTER EXTENSION timescaledb UPDATE;\nSELECT count(*) FROM timescaledb_information.jobs;\n",
    )
    ok(project.apply())
    assert [each.mode.value for each in steps(project)] == ["transaction", "alone", "transaction"]


def connection(run: Run) -> psycopg.Connection[Any]:
    """What a run asks through."""
    assert isinstance(run.database, PostgresDatabase)
    return run.database.conn


def steps(project: Project) -> Sequence[Step]:
    """How the first file is cut."""
    run = project.run()
    [first] = run.files
    return steps_of(first, run.reader.script(first))


def test_fifty_files_cost_little(lived: Project):
    for number in range(2, 52):
        lived.write(
            f"{number:03}_more.sql",
            f"CREATE TABLE t{number} (id int PRIMARY KEY);\nALTER TABLE r ADD COLUMN k{number} int;\n",
        )
    run = lived.run()
    with closing(run.database):
        observed, _ = run.known_anew(run.database.observe())
        decided = run.decide(observed)
        began = time.monotonic()
        run.examine(decided, observed)
        took = time.monotonic() - began
    print(f"{took:.3f} s")
    assert took < 2, took


def test_plain_files_ask_a_short_question_and_take_nothing_apart(lived: Project):
    lived.write("002_plain.sql", "CREATE TABLE other (id int PRIMARY KEY);")
    run = lived.run()
    with closing(run.database):
        observed, _ = run.known_anew(run.database.observe())
        standing = denials.standing(connection(run))
        assert {"r", "h", "c"} <= standing.names
        assert not denials.matters(run.decide(observed), standing)


def test_a_role_that_owns_nothing_else_is_told_the_same(lived: Project):
    """What may not be read is not known, and stops nobody."""
    role = f"tl_modest_{uuid.uuid4().hex[:8]}"
    lived.query(f"CREATE ROLE {role} LOGIN")
    try:
        lived.query(f"GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON schema_migrations TO {role}")
        modest = Project(lived.folder, make_conninfo(lived.dsn, user=role))
        lived.write(
            "002_own.sql",
            "CREATE TABLE own (time timestamptz NOT NULL, n int);\nSELECT create_hypertable('own', 'time');\n",
        )
        found = modest.apply().failure
        assert found is None or not found.code.startswith("D04"), found.message
    finally:
        lived.query(f"DROP OWNED BY {role} CASCADE")
        lived.query(f"DROP ROLE {role}")
