"""A run that was cut off goes on with what its first part had left in the session: on a real server."""

from __future__ import annotations

import psycopg
import pytest
from tests.postgres.test_apply import failed, ok
from tests.rig.project import Project

from tidelock.core.report import Happening, exit_code

CUT = "CREATE INDEX CONCURRENTLY i ON t (id);\n"


def cut_off(project: Project, before: str, after: str) -> None:
    """Run a file whose lone statement waits in vain, and then, with nobody in its way, once more."""
    project.write("001_t.sql", "CREATE TABLE t (id int); CREATE TABLE found (what text); CREATE SCHEMA s;")
    assert project.apply().failure is None
    project.write("002_cut.sql", f"-- tidelock: build-limit 1s\n{before}{CUT}{after}")
    with psycopg.connect(project.dsn) as holder:
        holder.execute("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
        assert exit_code(project.apply(wait="1s")) == 75
    report = project.apply()
    assert report.failure is None, f"{report.failure.message}\n{report.failure.detail}"


def test_rows_of_a_temporary_table_are_there_again(project: Project) -> None:
    cut_off(
        project,
        "CREATE TEMP TABLE kept (n int);\nINSERT INTO kept VALUES (1);\nCOPY kept FROM stdin;\n2\n\\.\n"
        "ALTER TABLE kept ADD COLUMN x text DEFAULT 'x';\nUPDATE kept SET n = n * 10;\n",
        "INSERT INTO found SELECT n || x FROM kept;\n",
    )
    assert project.query("SELECT what FROM found ORDER BY 1") == [("10x",), ("20x",)]


@pytest.mark.parametrize(
    "before",
    [
        "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\n{cut}UPDATE l SET id = id + 1;\n",
        "CREATE TEMP TABLE kept (n int);\nINSERT INTO kept SELECT id FROM l;\n{cut}DELETE FROM l;\n",
        "CREATE TEMP TABLE kept (n int);\nSELECT 7 AS n \\gset x_\nINSERT INTO kept VALUES (:x_n);\n",
        "CREATE TEMP TABLE kept (n int);\nWITH k AS (INSERT INTO kept VALUES (1) RETURNING n) INSERT INTO l SELECT n FROM k;\n",
    ],
)
def test_a_temporary_table_whose_rows_cannot_be_had_again_is_not_made_up(project: Project, before: str) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1);")
    before = before.format(cut="CREATE INDEX CONCURRENTLY l_i ON l (id);\n")
    with pytest.raises(AssertionError, match="temporary table kept is gone"):
        cut_off(project, before, "INSERT INTO found SELECT n FROM kept;\n")
    assert project.query("SELECT what FROM found") == []


def test_a_temporary_table_that_nobody_wants_any_more_holds_nothing_up(project: Project) -> None:
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM t;\nUPDATE t SET id = id + 1;\n"
    cut_off(project, before, "INSERT INTO found VALUES ('on');\n")
    assert project.query("SELECT what FROM found") == [("on",)]


def test_a_temporary_table_is_made_again_from_a_table_that_only_got_an_index(project: Project) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1);")
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\nCREATE INDEX CONCURRENTLY l_i ON l (id);\n"
    cut_off(project, before, "INSERT INTO found SELECT n FROM kept;\n")
    assert project.query("SELECT what FROM found") == [("1",)]


def test_a_temporary_table_of_one_transaction_does_not_come_back(project: Project) -> None:
    cut_off(
        project,
        "BEGIN;\nCREATE TEMP TABLE brief (n int) ON COMMIT DROP;\nINSERT INTO brief VALUES (1);\nCOMMIT;\n",
        "INSERT INTO found SELECT coalesce(to_regclass('brief')::text, 'gone');\n",
    )
    assert project.query("SELECT what FROM found") == [("gone",)]


def test_a_setting_of_a_transaction_that_was_rolled_back_does_not_come_back(project: Project) -> None:
    cut_off(
        project,
        "SET search_path = s, public;\nBEGIN;\nSET search_path = public;\nROLLBACK;\n",
        "CREATE TABLE here (id int);\n",
    )
    assert project.one("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'here'") == "s"


def test_variables_of_gset_are_there_again(project: Project) -> None:
    cut_off(project, "SELECT 7 AS n, 'it''s' AS word \\gset x_\n", "INSERT INTO found VALUES (:x_n || :'x_word');\n")
    assert project.query("SELECT what FROM found") == [("7it's",)]


@pytest.mark.parametrize("question", ["pg_index WHERE indrelid = to_regclass", "relnamespace FROM pg_class"])
def test_a_connection_that_breaks_at_a_question_to_the_catalog_is_made_again(project: Project, question: str) -> None:
    from tests.rig.proxy import Proxy, sends

    project.write("001_t.sql", f"CREATE TABLE t (id int);\n{CUT}INSERT INTO t VALUES (1);\n")
    port = int(psycopg.conninfo.conninfo_to_dict(project.dsn)["port"] or 5432)
    with Proxy(port) as proxy:
        proxy.before(sends(question), lambda seen: seen.connection.cut())
        direct, project.dsn = project.dsn, proxy.dsn(project.dsn)
        report = project.apply()
        assert report.failure is None, report.failure.message
        project.dsn = direct
    assert project.query("SELECT id FROM t") == [(1,)]


def test_a_lone_statement_that_failed_is_not_said_to_have_been_cut_off(project: Project):
    project.write("001_a.sql", "VACUUM nowhere;")
    failed(project.apply(), "D010", 5)
    project.write("001_a.sql", "VACUUM;")
    ok(project.apply())
    [said] = project.heard.texts(Happening.RECOVERED)
    assert said.startswith("001 a failed on ")
    project.write("002_b.sql", "DO $$BEGIN COMMIT; PERFORM 1/0; END$$;")
    failed(project.apply(), "D010", 5)
    fault = failed(project.apply(), "L020", 4)
    assert "step 1 failed on " in fault.message
    assert "nobody" not in fault.message
