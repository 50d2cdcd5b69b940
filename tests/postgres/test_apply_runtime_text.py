"""Text that exists only while a file runs: what \\gexec and variables send."""

from __future__ import annotations

import pytest
from tests.postgres.test_apply import failed, ok
from tests.rig.project import Project

from tidelock.core.report import exit_code


@pytest.mark.parametrize("own", [False, True], ids=["ours", "the file's"])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'rollback' \\gexec\n",
        "SELECT 'commit' \\gexec\nSELECT 1/0;",
        "SELECT 'rollback' AS c \\gset\n:c;",
        "SELECT unnest(ARRAY['begin', 'INSERT INTO t VALUES (2)', 'commit', 'INSERT INTO t VALUES (3)']) \\gexec\n",
        "SELECT 'INSERT INTO t VALUES (2); END; INSERT INTO t VALUES (3)' \\gexec\n",
        "SELECT 'PREPARE TRANSACTION ''x''' \\gexec\n",
    ],
)
def test_transaction_control_that_only_the_run_knows_is_refused(project: Project, text: str, own: bool):
    project.write("001_a.sql", "CREATE TABLE kept (a int);")
    body = f"CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n{text}\n"
    project.write("002_b.sql", f"BEGIN;\n{body}COMMIT;" if own else body)
    fault = failed(project.apply(), "S042", 3)
    assert "nothing of it remains" in fault.message
    assert "002_b.sql:" in fault.message
    assert project.versions() == [1]
    assert project.one("SELECT to_regclass('t') IS NULL")
    project.write("002_b.sql", "CREATE TABLE t (a int);")
    ok(project.apply())


def test_transaction_control_in_a_step_of_its_own_is_refused_too(project: Project):
    project.write("001_a.sql", "-- tidelock: no-transaction\nSELECT 'begin' \\gexec\nCREATE TABLE t (a int);")
    failed(project.apply(), "S042", 3)
    assert project.versions() == []
    assert project.one("SELECT to_regclass('t') IS NULL")


def test_transaction_control_that_the_parser_cannot_read_is_noticed_by_what_the_server_answers(project: Project):
    project.write(
        "001_a.sql",
        "SET standard_conforming_strings = off;\nCREATE TABLE t (a int);\n"
        "SELECT $t$SELECT 'a\\'' ; COMMIT; SELECT ''$t$ \\gexec\n",
    )
    fault = failed(project.apply(), "S042", 3)
    assert "may stay" in fault.message
    assert project.versions() == []


def test_savepoints_may_come_out_of_gexec(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE t (a int);\n"
        "SELECT unnest(ARRAY['savepoint s', 'INSERT INTO t VALUES (1)', 'rollback to s', 'INSERT INTO t VALUES (2)']) \\gexec\n",
    )
    ok(project.apply())
    assert project.query("SELECT a FROM t") == [(2,)]


def test_what_gexec_had_sent_is_known_when_it_was_cut_off(project: Project):
    project.write("000_t.sql", "CREATE TABLE t (a int);")
    project.write(
        "001_a.sql",
        "-- tidelock: no-transaction\n"
        "SELECT unnest(ARRAY['INSERT INTO t VALUES (1)', 'SELECT pg_terminate_backend(pg_backend_pid())']) \\gexec\n",
    )
    assert exit_code(project.apply(wait="1s")) != 0
    assert project.query("SELECT a FROM t") == [(1,)]
    shown = project.tidelock("recover")
    assert "1 of 2 had run" in shown.stdout
    assert "pg_terminate_backend" in shown.stdout
