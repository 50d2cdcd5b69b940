"""Values of --set and tidelock.toml may be passwords: nothing shows or keeps them."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from tests.postgres.test_resume import CUT
from tests.rig.project import Project

from tidelock.core.report import exit_code

VALUE = "hunter2's"
SET = ("--set", f"password={VALUE}")
FILE = """
DO $$ BEGIN RAISE NOTICE 'the first'; END $$;
CREATE TABLE kept (word text);
INSERT INTO kept VALUES (:'password');
\\echo it is :password
SELECT word FROM kept;
SET app.word = :'password';
CREATE INDEX CONCURRENTLY ON kept (word) WHERE word <> :'password';
INSERT INTO kept VALUES (current_setting('app.word'));
SELECT :'password' AS again \\gset
\\set composed 'the ' :password
INSERT INTO kept VALUES (:'again'), (:'composed');
VACUUM kept;
"""


def journal(project: Project) -> str:
    """Everything that the ledger keeps, as text."""
    tables = ("schema_migrations", "schema_migrations_journal", "schema_migrations_lease")
    return "\n".join(row for table in tables for (row,) in project.query(f"SELECT x::text FROM {table} x"))


@pytest.mark.parametrize("form", [[], ["--json"], ["--log-format", "json"]], ids=" ".join)
def test_a_run_neither_shows_nor_keeps_them(project: Project, form: list[str]):
    project.write("001_a.sql", FILE)
    for command in (["plan"], ["apply"], ["status", "--history"]):
        done = project.tidelock(
            *command, *SET, *(form if form != ["--log-format", "json"] or command == ["apply"] else [])
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    assert [word for (word,) in project.query("SELECT word FROM kept")] == [VALUE, VALUE, VALUE, f"the {VALUE}"]
    assert "hunter2" not in journal(project)
    assert "ON kept (word) WHERE word <> :'password'" in journal(project)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT (:'password')::int;",
        "DO 'BEGIN RAISE EXCEPTION ''%'', current_setting(''app.p''); END';",
        "INSERT INTO u VALUES (:'password');",
        "SELECT format('SELECT %L::int', :'password') \\gexec",
        "SELECT :'password' AS p \\gset\nSELECT :'p'::int;",
        "CREATE VIEW v AS SELECT :'password'::int;",
    ],
)
@pytest.mark.parametrize("alone", [False, True], ids=["transaction", "alone"])
def test_a_failure_neither_shows_nor_keeps_them(project: Project, statement: str, alone: bool):
    head = "-- tidelock: no-transaction\n" if alone else ""
    before = "CREATE TABLE u (word text UNIQUE); SET app.p = :'password'; INSERT INTO u VALUES (:'password');\n"
    project.write("001_a.sql", f"{head}{before}{statement}\n")
    for form in ([], ["--json"]):
        done = project.tidelock("apply", *SET, *form)
        assert done.returncode in (3, 4, 5), done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    for command in ("status", "recover"):
        shown = project.tidelock(command, *SET)
        assert "hunter2" not in shown.stdout + shown.stderr
    assert "hunter2" not in journal(project)


def test_a_file_that_cannot_be_read_does_not_show_them(project: Project):
    project.write("001_a.sql", "COMMENT ON TABLE u IS :password;\n")
    done = project.tidelock("apply", *SET)
    assert done.returncode == 3
    assert "hunter2" not in done.stdout + done.stderr


def test_a_run_that_goes_on_has_them_in_its_session(project: Project):
    project.write("001_t.sql", "CREATE TABLE t (id int); CREATE TABLE found (word text);")
    assert project.apply().failure is None
    before = "SET app.word = :'password';\nSELECT :'password' AS again \\gset\n"
    after = "INSERT INTO found VALUES (current_setting('app.word')), (:'again');\n"
    project.write("002_cut.sql", f"-- tidelock: build-limit 1s\n{before}{CUT}{after}")
    given = [f"password={VALUE}"]
    with psycopg.connect(project.dsn) as holder:
        holder.execute("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
        assert exit_code(project.apply(wait="1s", variables=given)) == 75
    assert "hunter2" not in journal(project)
    report = project.apply(variables=given)
    assert report.failure is None, f"{report.failure.message}\n{report.failure.detail}"
    assert project.query("SELECT word FROM found") == [(VALUE,), (VALUE,)]


def test_the_name_of_a_schema_is_shown(project: Project):
    project.write("001_a.sql", "CREATE TABLE :schema.t ();")
    done = project.tidelock("apply", "--set", "schema=nowhere")
    assert done.returncode == 5
    assert 'schema "nowhere" does not exist' in done.stderr


def test_checks_do_not_show_them(project: Project):
    project.write(
        "001_a.sql", "CREATE TABLE t (a text);\nINSERT INTO t VALUES (:'password');\nSELECT (:'password')::int;"
    )
    project.write("tidelock.toml", f'[migrations]\ndir = "."\nvariables = {{ password = "{VALUE}" }}\n')
    for command in (["lint"], ["lint", "--format", "sarif"], ["prove"], ["prove", "--json"]):
        done = project.tidelock(*command, where=False)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_ps_does_not_show_a_secret(project: Project):
    project.write("001_a.sql", "SELECT pg_sleep(3), :'password';")
    with project.start("apply", "--set", f"password={VALUE}", "--set=n=1") as running:
        time.sleep(2)
        words = Path(f"/proc/{running.pid}/cmdline").read_bytes().decode()
        running.communicate(timeout=30)
    assert running.returncode == 0
    assert "password=${TIDELOCK_HIDDEN_1}" in words
    assert "hunter2" not in words
