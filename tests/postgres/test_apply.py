"""Files become a database, each exactly once: on a real server."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.rig.project import Project

from tidelock.core.report import Happening, exit_code

if TYPE_CHECKING:
    from pathlib import Path


def ok(report):
    assert report.failure is None, f"{report.failure.code} {report.failure.message}\n{report.failure.detail}"
    return report


def failed(report, code: str, exit_: int):
    assert report.failure is not None, "it did not fail"
    assert (report.failure.code, exit_code(report)) == (code, exit_), (
        f"{report.failure.code} {report.failure.message}\n{report.failure.detail}"
    )
    return report.failure


@pytest.mark.every_server
def test_each_file_is_applied_once_and_recorded(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "INSERT INTO a VALUES (1);")
    assert [each.version for each in ok(project.apply()).applied] == [1, 2]
    assert ok(project.apply()).applied == ()
    assert project.query("SELECT version, description FROM schema_migrations ORDER BY 1") == [(1, "a"), (2, "b")]
    assert project.one("SELECT count(*) FROM a") == 1


def test_nothing_to_do_imports_neither_the_parser_nor_rich(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("tidelock.toml", '[backup]\nurl = "s3://backups/farm"\n')
    ok(project.apply())
    import subprocess
    import sys

    code = (
        "import sys; sys.argv[1:] = ['apply', '--dir', sys.argv[1], '--database', sys.argv[2]]\n"
        "from tidelock.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'postgast', 'rich', 'google', 'msgspec', 'zstandard', 'obstore', 'pyrage'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.folder), project.dsn],
        capture_output=True,
        text=True,
        check=True,
        cwd=project.folder,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Nothing to do" in done.stdout


def test_plain_postgresql_imports_nothing_of_timescale(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int PRIMARY KEY);\nCREATE INDEX CONCURRENTLY ON a (id);\n")
    import subprocess
    import sys

    code = (
        "import sys; sys.argv[1:] = ['apply', '--dir', sys.argv[1], '--database', sys.argv[2]]\n"
        "from tidelock.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('tidelock.timescale', 'tidelock.core.lint', 'tidelock.cli.refus'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.folder), project.dsn], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert project.versions() == [1]


def test_timescale_without_the_extension_is_told_of_on_plain_postgresql(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (t timestamptz NOT NULL);\nSELECT create_hypertable('a', 't');\n")
    failure = project.apply().failure
    assert failure is not None
    assert failure.code == "D043"
    assert "this server has no TimescaleDB" in failure.message
    project.write(
        "001_a.sql",
        "CREATE FUNCTION create_hypertable(text) RETURNS text LANGUAGE sql AS 'SELECT $1';\n"
        "SELECT create_hypertable('a');\n",
    )
    ok(project.apply())


def test_a_failing_file_leaves_nothing_and_says_where(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write(
        "002_b.sql",
        "CREATE TABLE b (id int);\nALTER TABLE b\n  ADD CONSTRAINT b_fk FOREIGN KEY (id) REFERENCES nowhere (id);\n",
    )
    fault = failed(project.apply(), "D010", 5)
    assert "002 b failed; nothing of it remains" in fault.message
    assert f"{project.folder}/002_b.sql:" in fault.detail
    assert "42P01" in fault.detail
    assert "^" in fault.detail
    assert project.versions() == [1]
    assert project.one("SELECT to_regclass('b') IS NULL")


def test_the_caret_stands_under_the_word(project: Project):
    project.write("001_a.sql", "SELECT 1;\n\nSELECT one,\n   two_ FROM (SELECT 1 AS one, 2 AS two) x;\n")
    fault = failed(project.apply(), "D010", 5)
    lines = fault.detail.splitlines()
    assert lines[0].endswith("001_a.sql:4:4")
    caret = next(index for index, line in enumerate(lines) if "^" in line)
    assert lines[caret - 1][lines[caret].index("^")] == "t"


def test_a_runtime_error_names_the_statement_that_failed(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\nINSERT INTO a VALUES (1);\nSELECT 1;",
    )
    fault = failed(project.apply(), "D010", 5)
    assert fault.detail.splitlines()[0].endswith("001_a.sql:4:1")
    assert "23505" in fault.detail
    assert "Key (id)=(1) already exists" in fault.detail


def test_an_error_at_commit_is_told_as_one(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO b VALUES (1);",
    )
    assert "COMMIT" in failed(project.apply(), "D010", 5).message


def test_copy_data_statements_of_their_own_and_results_work_in_one_file(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int, t text);\nCOPY a FROM stdin;\n1\tone\n2\t\\N\n\\.\nCREATE INDEX CONCURRENTLY a_id ON a (id);\nSELECT count(*) AS n FROM a;\n",
    )
    ok(project.apply())
    assert project.query("SELECT * FROM a ORDER BY id") == [(1, "one"), (2, None)]
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass")
    assert project.heard.texts(Happening.ROWS) == ["n\n2"]


def test_notices_are_shown_with_their_place_and_kept_in_the_journal(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nCREATE TABLE IF NOT EXISTS a (id int);\nDO $$BEGIN RAISE WARNING 'careful'; END$$;",
    )
    ok(project.apply())
    told = [
        (event.place.line, event.severity, event.text)
        for event in project.heard.events
        if event.what is Happening.NOTICE and event.place is not None
    ]
    assert told == [(2, "NOTICE", 'relation "a" already exists, skipping'), (3, "WARNING", "careful")]
    assert "careful" in str(project.one("SELECT detail FROM schema_migrations_journal WHERE event = 'output'"))


@pytest.mark.parametrize("alone", [True, False], ids=["by itself", "beside others"])
def test_what_a_failing_transaction_returned_is_shown_and_kept_in_the_journal(project: Project, alone: bool):
    if not alone:
        project.write("001_a.sql", "SELECT 41 AS before;")
    project.write("002_b.sql", "SELECT 42 AS v;\nSELECT 43 AS w;\nSELECT 1/0;\nSELECT 44;")
    project.write("003_c.sql", "SELECT 45;")
    failed(project.apply(), "D010", 5)
    shown = [event.text for event in project.heard.events if event.what is Happening.ROWS]
    assert shown == [*([] if alone else ["before\n41"]), "v\n42", "w\n43"]
    detail = project.one("SELECT detail FROM schema_migrations_journal WHERE event = 'refused'")
    assert [each["text"] for each in detail["output"]] == ["v\n42", "w\n43"]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_the_journal_keeps_what_the_encoding_has_letters_for(project: Project, encoding: str):
    name = psycopg.conninfo.conninfo_to_dict(project.dsn)["dbname"]
    project.query(f"CREATE DATABASE {name}_e TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    there = Project(
        project.folder, psycopg.conninfo.make_conninfo(project.dsn, dbname=f"{name}_e", client_encoding="utf8")
    )
    there.write("001_a.sql", "CREATE TABLE a (id int);\nDO $$BEGIN RAISE NOTICE 'é'; END$$;\nSELECT 'ü' AS x;")
    ok(there.apply())
    assert there.heard.texts(Happening.NOTE) == []
    assert "é" in str(there.one("SELECT detail FROM schema_migrations_journal WHERE event = 'output'"))
    there.write("002_b.sql", "SELECT 'ö' AS x;\nSELECT 1/0;")
    failed(there.apply(), "D010", 5)
    assert "ö" in str(there.one("SELECT detail FROM schema_migrations_journal WHERE event = 'refused'"))


def test_a_session_starts_fresh_with_each_file(project: Project):
    project.write(
        "001_a.sql",
        "CREATE SCHEMA s; SET search_path = s; CREATE TEMP TABLE t (id int); PREPARE p AS SELECT 1; SELECT set_config('work_mem', '64kB', false);",
    )
    project.write(
        "002_b.sql",
        "CREATE TABLE here (id int); DO $$BEGIN IF to_regclass('pg_temp.t') IS NOT NULL OR current_setting('work_mem') = '64kB' "
        "OR EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'p') THEN RAISE 'leaked'; END IF; END$$;",
    )
    ok(project.apply())
    assert project.one("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'here'") == "public"


LEAKING = """
CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('search_path', 's', false), set_config('work_mem', '64kB', false);
  SET ROLE pg_monitor;
  EXECUTE 'DEALLOCATE ALL';
  CREATE TEMP TABLE IF NOT EXISTS left_over (id int);
  RETURN NULL;
END $$;
CREATE SCHEMA s;
CREATE TABLE public.t (id int);
"""
NOTHING_LEFT = """
DO $$BEGIN
  IF current_setting('search_path') = 's' OR current_setting('work_mem') = '64kB' OR current_user <> session_user
     OR to_regclass('pg_temp.left_over') IS NOT NULL THEN RAISE 'leaked'; END IF;
END$$;
CREATE TABLE here (id int);"""


@pytest.mark.parametrize("before", [True, False], ids=["in the database before", "made by a file of the same run"])
def test_what_a_trigger_leaves_in_the_session_does_not_cross_over(project: Project, before: bool):
    """The file says nothing of it: the row it inserts sets the trigger off."""
    project.write("001_code.sql", LEAKING + "CREATE TRIGGER leak AFTER INSERT ON public.t EXECUTE FUNCTION leak();")
    if before:
        ok(project.apply())
    project.write("002_row.sql", "INSERT INTO public.t VALUES (1);")
    project.write("003_next.sql", NOTHING_LEFT)
    project.write("004_row.sql", "INSERT INTO public.t VALUES (2), (3);")
    project.write("005_next.sql", "CREATE TABLE there (id int);")
    ok(project.apply())
    assert project.versions() == [1, 2, 3, 4, 5]
    assert project.query("SELECT to_regclass('public.here') IS NULL, to_regclass('public.there') IS NULL") == [
        (False, False)
    ]


def test_what_an_event_trigger_leaves_in_the_session_does_not_cross_over(project: Project):
    project.write(
        "001_code.sql",
        LEAKING.replace("RETURNS trigger", "RETURNS event_trigger")
        .replace("  RETURN NULL;\n", "")
        .replace("  CREATE TEMP TABLE IF NOT EXISTS left_over (id int);\n", "")
        + "CREATE EVENT TRIGGER leak ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION leak();",
    )
    project.write("002_comment.sql", "COMMENT ON TABLE public.t IS 'x';")
    project.write("003_next.sql", NOTHING_LEFT)
    ok(project.apply())
    assert project.versions() == [1, 2, 3]


def test_settings_hold_across_the_steps_of_one_file(project: Project):
    project.write(
        "001_a.sql",
        "CREATE SCHEMA s; SET search_path = s; CREATE TABLE t (id int);\nCREATE INDEX CONCURRENTLY i ON t (id);\nCREATE TABLE u (id int);",
    )
    ok(project.apply())
    assert project.query("SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace ORDER BY 1") == [
        ("i",),
        ("t",),
        ("u",),
    ]
    assert project.versions() == [1]


def test_role_defaults_that_would_cut_a_migration_off_are_lifted_and_named(project: Project):
    name = psycopg.conninfo.conninfo_to_dict(project.dsn)["dbname"]
    project.query(f"ALTER DATABASE \"{name}\" SET statement_timeout = '200ms'")
    project.write("001_a.sql", "SELECT pg_sleep(0.5);")
    report = ok(project.apply())
    assert any("statement_timeout = 200ms" in finding.message for finding in report.findings)


def test_a_statement_timeout_can_be_set_for_a_file(project: Project):
    project.write("001_a.sql", "-- tidelock: statement-timeout 200ms\nSELECT pg_sleep(5);")
    assert "57014" in failed(project.apply(), "D010", 5).detail


def test_own_transactions_keep_their_meaning(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nBEGIN; INSERT INTO a VALUES (1); COMMIT;\nBEGIN; INSERT INTO a VALUES (2); ROLLBACK;\nBEGIN; INSERT INTO a VALUES (3); END;\nINSERT INTO a VALUES (1/0);",
    )
    assert "steps 1 to 4 stay" in failed(project.apply(), "D010", 5).message
    assert project.query("SELECT id FROM a ORDER BY 1") == [(1,), (3,)]
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nBEGIN; INSERT INTO a VALUES (1); COMMIT;\nBEGIN; INSERT INTO a VALUES (2); ROLLBACK;\nBEGIN; INSERT INTO a VALUES (3); END;\nINSERT INTO a VALUES (4);",
    )
    ok(project.apply())
    assert project.query("SELECT id FROM a ORDER BY 1") == [(1,), (3,), (4,)]


@pytest.mark.parametrize(
    "begin", ["BEGIN ISOLATION LEVEL SERIALIZABLE;", "BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"]
)
def test_isolation_levels_of_the_file_are_honoured(project: Project, begin: str):
    project.write(
        "001_a.sql",
        f"CREATE TABLE a (level text); {begin} INSERT INTO a SELECT current_setting('transaction_isolation'); COMMIT;",
    )
    ok(project.apply())
    assert project.one("SELECT level FROM a") in ("serializable", "repeatable read")


def test_set_transaction_without_begin_has_no_effect_as_under_psql(project: Project):
    project.write(
        "001_a.sql",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a AS SELECT current_setting('transaction_isolation') AS level;",
    )
    ok(project.apply())
    assert project.one("SELECT level FROM a") == "read committed"


def test_a_new_enum_value_may_be_used_in_its_own_file(project: Project):
    project.write("001_a.sql", "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (v e);")
    project.write("002_b.sql", "ALTER TYPE e ADD VALUE 'b'; INSERT INTO t VALUES ('b');")
    ok(project.apply())
    assert project.query("SELECT v::text FROM t") == [("b",)]


def test_deferred_checks_do_not_stand_in_the_way_of_alter_table(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO p VALUES (1);",
    )
    project.write("002_b.sql", "INSERT INTO c VALUES (1); ALTER TABLE c ADD COLUMN x int;")
    ok(project.apply())


def test_a_procedure_that_commits_is_called_outside_of_a_transaction(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int); CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1); COMMIT; INSERT INTO a VALUES (2); END$$;",
    )
    project.write("002_b.sql", "CALL fill();")
    ok(project.apply())
    assert project.one("SELECT count(*) FROM a") == 2


@pytest.mark.parametrize("call", [
    "CALL p();",
    "CALL public.p();",
    "DO $$BEGIN CALL p(); END$$;",
    "CREATE PROCEDURE q() LANGUAGE plpgsql AS $$BEGIN CALL p(); END$$; CALL q();",
])  # fmt: skip
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK; INSERT INTO a VALUES (1)"])
def test_a_procedure_of_the_same_file_that_commits_is_called_outside_of_a_transaction(
    project: Project, call: str, end: str
):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\n"
        f"CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1); {end}; END$$;\n"
        f"{call}\nINSERT INTO a VALUES (2);",
    )
    ok(project.apply())
    assert project.query("SELECT id FROM a ORDER BY 1") == [(1,), (2,)]


def test_variables_from_the_command_line_and_from_gset_reach_the_statements(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE :\"name\" (t text);\nSELECT 'it''s' AS v, 7 AS n \\gset x_\nINSERT INTO :\"name\" VALUES (:'x_v');\n"
        "\\if :x_n\n\\echo never: 7 is no boolean\n\\endif\nSELECT true AS yes \\gset\n\\if :yes\nINSERT INTO :\"name\" VALUES ('yes');\n\\else\nINSERT INTO :\"name\" VALUES ('no');\n\\endif\n",
    )
    ok(project.apply(variables=["name=My Table"]))
    assert project.query('SELECT t FROM "My Table"') == [("it's",), ("yes",)]


def test_gexec_runs_what_the_query_returns(project: Project):
    project.write("001_a.sql", "SELECT format('CREATE TABLE t%s (id int)', g) FROM generate_series(1, 3) g \\gexec\n")
    ok(project.apply())
    assert project.one("SELECT count(*) FROM pg_class WHERE relname ~ '^t[123]$'") == 3


def test_the_target_may_be_named_by_connect_and_another_may_not(project: Project):
    name = psycopg.conninfo.conninfo_to_dict(project.dsn)["dbname"]
    project.write("001_a.sql", f"\\c {name}\nCREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "\\c elsewhere\nCREATE TABLE b (id int);")
    report = project.apply()
    assert exit_code(report) == 3
    assert report.failure is not None
    assert "elsewhere" in report.failure.message


def test_a_plan_says_what_the_parser_cannot_read_and_apply_leaves_it_to_the_server(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int);\nCREATE TABEL b (i int);\n")
    done = project.tidelock("plan")
    assert done.returncode == 0
    assert '001_a.sql:2:8: syntax error at or near "TABEL". Did you mean TABLE for “TABEL”?' in done.stdout
    assert "`apply` sends it all the same, and the server decides" in done.stdout
    assert "42601" in failed(project.apply(), "D010", 5).detail


def test_a_plan_that_was_reviewed_is_what_runs(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    run = project.run()
    reviewed = run.decide(run.database.observe()).id
    run.database.close()
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    fault = failed(project.apply(plan_id=reviewed), "L007", 4)
    assert "002 b" in fault.message
    assert project.one("SELECT to_regclass('a') IS NULL")
    (project.folder / "002_b.sql").unlink()
    ok(project.apply(plan_id=reviewed))


def test_an_edited_file_is_refused_with_the_difference(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("001_a.sql", "CREATE TABLE a (id bigint);")
    fault = failed(project.apply(), "L002", 4)
    assert "-CREATE TABLE a (id int);" in fault.detail
    project.write("001_a.sql", "-- only words\r\nCREATE TABLE a (id int);\r\n")
    assert "comments" in ok(project.apply()).findings[0].message


def test_a_changed_include_counts_as_a_change(project: Project):
    project.write("parts/x.sql", "CREATE TABLE x (id int);")
    project.write("001_a.sql", "\\ir parts/x.sql\n")
    ok(project.apply())
    assert ok(project.apply()).applied == ()
    project.write("parts/x.sql", "CREATE TABLE x (id bigint);")
    assert failed(project.apply(), "L002", 4).message.endswith("(parts/x.sql changed)")


@pytest.mark.parametrize("more", ["", "VACUUM a;"])
def test_a_changed_variable_is_named_and_not_shown(project: Project, more: str):
    project.write("001_a.sql", f"CREATE TABLE a AS SELECT :'one' x, :'two' y;\n\\copy a from d.csv csv\n{more}")
    project.write("d.csv", "1,2\n")
    ok(project.apply(variables=["one=a", "two=hunter2"]))
    assert ok(project.apply(variables=["one=a", "two=hunter2"])).applied == ()
    fault = failed(project.apply(variables=["one=a", "two=hunter3"]), "L002", 4)
    assert fault.message.endswith("(variable two changed)")
    assert "--set" in fault.hint
    project.write("d.csv", "1,3\n")
    assert (
        "(d.csv changed, variable one is not there now)"
        in failed(project.apply(variables=["two=hunter2"]), "L002", 4).message
    )
    assert "hunter2" not in str(project.query("SELECT * FROM schema_migrations_journal"))


def test_a_missing_database_is_named_and_created_on_demand(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    info = psycopg.conninfo.conninfo_to_dict(project.dsn)
    missing = psycopg.conninfo.make_conninfo(project.dsn, dbname=f"{info['dbname']}_new")
    fault = failed(project.apply(database=[missing]), "D002", 5)
    assert "--create-database" in fault.hint
    ok(project.apply(database=[missing], create_database=True))
    project.query(f'DROP DATABASE "{info["dbname"]}_new"')


def test_a_role_owns_what_is_made_and_the_ledger_stays_ours(project: Project):
    project.query("DROP ROLE IF EXISTS tidelock_owner")
    project.query("CREATE ROLE tidelock_owner")
    project.query("GRANT CREATE ON SCHEMA public TO tidelock_owner")
    try:
        project.write("001_a.sql", "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (id);")
        ok(project.apply(role="tidelock_owner"))
        assert project.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'a'") == "tidelock_owner"
        assert (
            project.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'schema_migrations'")
            == "postgres"
        )
    finally:
        project.query("DROP OWNED BY tidelock_owner")
        project.query("DROP ROLE tidelock_owner")


def hold(project: Project, sql: str, seconds: float) -> threading.Thread:
    """Hold a lock for a while, from another session."""
    ready = threading.Event()

    def work() -> None:
        with psycopg.connect(project.dsn, application_name="grafana") as conn:
            conn.execute(sql)
            ready.set()
            time.sleep(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    return thread


def test_a_lock_is_waited_for_in_short_attempts_and_the_holder_is_named(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "-- tidelock: lock-timeout 800ms\nALTER TABLE a ADD COLUMN x int;")
    holder = hold(project, "SELECT * FROM a", 3)
    report = ok(project.apply(wait="30s"))
    holder.join()
    assert report.applied[0].lock_wait_s > 1
    assert any("grafana" in text for text in project.heard.texts(Happening.WAITING))


def test_patience_ends_with_75_and_nothing_changed(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE TABLE b (id int); ALTER TABLE a ADD COLUMN x int;")
    holder = hold(project, "SELECT * FROM a", 6)
    fault = failed(project.apply(wait="3s"), "T020", 75)
    assert "grafana" in fault.detail
    assert "a" in fault.message
    assert project.one("SELECT to_regclass('b') IS NULL")
    holder.join()


ADD = "ALTER TABLE a ADD COLUMN x int;"


@pytest.mark.parametrize(
    "text",
    [
        f"SET lock_timeout = 0; {ADD}",
        f"SET LOCAL lock_timeout = 0; {ADD}",
        f"SELECT set_config('lock_timeout', '0', false); {ADD}",
        f"BEGIN; SET LOCAL lock_timeout = 0; {ADD} COMMIT;",
        f"-- tidelock: lock-timeout 0s\n{ADD}",
        f"DO $$ BEGIN EXECUTE 'SET lock_timeout = 0'; END $$; SELECT '{ADD}' \\gexec",
        "SET lock_timeout = 0; VACUUM a;",
        "-- tidelock: lock-timeout 0s\nVACUUM a;",
    ],
)
def test_patience_ends_also_where_the_file_takes_lock_timeout_away(project: Project, text: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", text)
    holder = hold(project, "LOCK TABLE a", 10)
    began = time.monotonic()
    fault = failed(project.apply(wait="3s"), "T020", 75)
    assert time.monotonic() - began < 7
    assert "grafana" in fault.detail
    holder.join()
    ok(project.apply())


def test_patience_ends_for_small_migrations_that_share_a_query(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    project.write("003_c.sql", f"SET LOCAL lock_timeout = 0; {ADD}")
    project.write("004_d.sql", "CREATE TABLE d (id int);")
    holder = hold(project, "LOCK TABLE a", 8)
    failed(project.apply(wait="3s"), "T020", 75)
    assert project.versions() == [1, 2]
    holder.join()
    ok(project.apply())


def test_lock_timeout_zero_waits_in_one_go_as_long_as_patience_lasts(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"-- tidelock: lock-timeout 0s\n{ADD}")
    holder = hold(project, "LOCK TABLE a", 4)
    assert ok(project.apply(wait="20s")).applied[0].lock_wait_s > 1
    holder.join()


def test_a_concurrent_build_waits_beyond_the_lock_timeout_and_says_for_whom(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); CREATE TABLE other (id int);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE INDEX CONCURRENTLY i ON a (id);")
    holder = hold(project, "INSERT INTO a VALUES (1)", 4)
    ok(project.apply())
    holder.join()
    assert any("grafana" in text for text in project.heard.texts(Happening.WAITING))
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")


def test_a_concurrent_build_beyond_its_limit_is_cancelled_and_cleaned_up(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); CREATE TABLE other (id int);")
    ok(project.apply())
    project.write("002_b.sql", "-- tidelock: build-limit 1s\nCREATE INDEX CONCURRENTLY i ON a (id);")
    holder = hold(project, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other", 6)
    failed(project.apply(wait="3s"), "T022", 75)
    assert project.one("SELECT to_regclass('i') IS NULL")
    holder.join()
    ok(project.apply())
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")


def test_what_cannot_be_cleaned_up_at_once_is_cleaned_up_by_the_next_run(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "-- tidelock: build-limit 1s\nCREATE INDEX CONCURRENTLY i ON a (id);")
    holder = hold(project, "INSERT INTO a VALUES (1)", 6)
    failed(project.apply(wait="3s"), "T022", 75)
    assert any("left for the next run" in text for text in project.heard.texts(Happening.RECOVERED))
    holder.join()
    ok(project.apply())
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")
    assert project.one("SELECT count(*) FROM pg_index WHERE indrelid = 'a'::regclass") == 1


def test_an_invalid_index_is_not_hidden_by_if_not_exists(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1);")
    ok(project.apply())
    with psycopg.connect(project.dsn, autocommit=True) as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON a (id)")
    project.query("DELETE FROM a")
    project.write("002_b.sql", "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a (id);")
    ok(project.apply())
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")
    assert any("invalid index" in text for text in project.heard.texts(Happening.RECOVERED))


def test_a_failed_concurrent_build_is_cleaned_up_and_the_mended_file_goes_on(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1);\nCREATE UNIQUE INDEX CONCURRENTLY i ON a (id);",
    )
    assert "step 2 ran outside" in failed(project.apply(), "D010", 5).message
    assert project.one("SELECT to_regclass('i') IS NULL")
    project.write(
        "001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1);\nCREATE INDEX CONCURRENTLY i ON a (id);"
    )
    ok(project.apply())
    assert project.one("SELECT count(*) FROM a") == 2


def test_history_tells_who_ran_what_and_how_it_failed(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "SELECT 1/0;")
    failed(project.apply(), "D010", 5)
    shown = project.tidelock("status", "--history").stdout
    assert "division by zero" in shown
    assert "refused" in shown


def test_an_empty_directory_is_not_nothing_to_do(project: Project):
    failed(project.apply(), "U003", 2)


def test_a_mounted_config_map_is_read_through_its_links(project: Project, tmp_path: Path):
    mount = tmp_path / "mount"
    (mount / "..2026_11_23").mkdir(parents=True)
    (mount / "..data").symlink_to("..2026_11_23")
    (mount / "..2026_11_23" / "001_a.sql").write_text("CREATE TABLE a (id int);")
    (mount / "001_a.sql").symlink_to("..data/001_a.sql")
    project.folder = mount
    assert [each.version for each in ok(project.apply()).applied] == [1]


def test_compressed_files_are_read_as_their_content(project: Project):
    import gzip

    import zstandard

    project.write("001_a.sql.gz", gzip.compress(b"CREATE TABLE a (id int);"))
    project.write("002_b.sql.zst", zstandard.compress(b"CREATE TABLE b (id int);"))
    ok(project.apply())
    (project.folder / "001_a.sql.gz").unlink()
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    assert ok(project.apply()).applied == ()


def test_a_syntax_error_at_the_end_points_to_the_end(project: Project):
    project.write("001_a.sql", "CREATE TABLE b (id int;\n")
    assert failed(project.apply(), "D010", 5).detail.splitlines()[0].endswith("001_a.sql:1:23")


def test_only_line_feeds_end_a_line(project: Project):
    project.write("001_a.sql", "select 1; -- a\u2028b\n\f\nselect 2;\nselect nope;\n")
    detail = failed(project.apply(), "D010", 5).detail.split("\n")
    assert detail[1:4] == ["3 │ select 2;", "4 │ select nope;", "  │        ^"]
    project.write("001_a.sql", "select 1;\nselect '\u2028\f', nope;\n")
    detail = failed(project.apply(), "D010", 5).detail.split("\n")
    assert detail[2:4] == ["2 │ select '  ', nope;", "  │              ^"]


def test_a_missing_table_names_the_one_that_comes_close(project: Project):
    project.write("001_a.sql", "CREATE TABLE sites (id int PRIMARY KEY);")
    project.write("002_b.sql", "CREATE TABLE sensors (site int REFERENCES site (id));")
    assert 'table "sites" exists' in failed(project.apply(), "D010", 5).detail


def test_a_read_only_transaction_of_the_file_is_recorded_after_it(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);\nBEGIN READ ONLY; SELECT count(*) FROM a; COMMIT;")
    ok(project.apply())
    assert ok(project.apply()).applied == ()


@pytest.mark.parametrize("more", ["", "CREATE TABLE more ();\n"], ids=["one step", "several"])
@pytest.mark.parametrize(
    "file",
    [
        "BEGIN; INSERT INTO a VALUES (1); SET TRANSACTION READ ONLY; SELECT id FROM a; COMMIT;",
        "BEGIN; INSERT INTO a VALUES (1); SET LOCAL transaction_read_only = on; COMMIT;",
        "BEGIN; INSERT INTO a VALUES (1); SET transaction_read_only TO 'on'; SELECT 1 AS n \\gset\nSELECT :n; COMMIT;",
        "BEGIN READ ONLY; SET TRANSACTION READ WRITE; INSERT INTO a VALUES (1); COMMIT;",
        "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; INSERT INTO a VALUES (1); SET TRANSACTION READ ONLY; COMMIT;",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO a VALUES (1); SET TRANSACTION READ ONLY; COMMIT;",
        "BEGIN; SET LOCAL ROLE pg_monitor; RESET ROLE; INSERT INTO a VALUES (1); SET TRANSACTION READ ONLY; COMMIT;",
        "BEGIN; SAVEPOINT s; SET TRANSACTION READ ONLY; ROLLBACK TO s; INSERT INTO a VALUES (1); COMMIT;",
    ],
)
def test_a_transaction_that_is_read_only_in_part_holds_its_record(project: Project, file: str, more: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", f"{file}\n{more}")
    ok(project.apply())
    record = "schema_migrations WHERE version = 2" if not more else "schema_migrations_journal WHERE event = 'done'"
    assert project.query("SELECT xmin FROM a") == project.query(f"SELECT xmin FROM {record}")
    assert ok(project.apply()).applied == ()


def test_a_transaction_that_becomes_read_only_at_once_is_recorded_after_it(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);\nBEGIN; SET TRANSACTION READ ONLY; SELECT 1; COMMIT;")
    ok(project.apply())
    assert ok(project.apply()).applied == ()


def test_a_file_may_change_role_and_session_user_and_the_ledger_stays_ours(project: Project):
    project.query("DROP ROLE IF EXISTS tidelock_guest")
    project.query("CREATE ROLE tidelock_guest")
    project.query("GRANT ALL ON SCHEMA public TO tidelock_guest")
    try:
        project.write(
            "001_a.sql",
            "SET ROLE tidelock_guest; CREATE TABLE a (id int);\nSET SESSION AUTHORIZATION tidelock_guest;\nVACUUM a;\nCREATE TABLE b (id int);",
        )
        project.write("002_c.sql", "CREATE TABLE c (id int);")
        ok(project.apply())
        assert project.query(
            "SELECT relname, relowner::regrole::text FROM pg_class WHERE relname IN ('a', 'b', 'c') ORDER BY 1"
        ) == [("a", "tidelock_guest"), ("b", "tidelock_guest"), ("c", "postgres")]
    finally:
        project.query("DROP OWNED BY tidelock_guest")
        project.query("DROP ROLE tidelock_guest")


def test_what_psql_knows_of_its_connection_is_known(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (x text);\nINSERT INTO a VALUES (:'DBNAME'), (:'USER'), (:'PORT');\n\\if :{?SERVER_VERSION_NUM}\nINSERT INTO a VALUES ('versioned');\n\\endif\n",
    )
    ok(project.apply())
    info = psycopg.conninfo.conninfo_to_dict(project.dsn)
    assert [x for (x,) in project.query("SELECT x FROM a")] == [
        info["dbname"],
        info["user"],
        str(info["port"]),
        "versioned",
    ]
    assert ok(project.apply()).applied == ()


def test_a_file_may_connect_to_the_target_by_a_connection_string(project: Project):
    info = psycopg.conninfo.conninfo_to_dict(project.dsn)
    named = " ".join(f"{name}={info[name]}" for name in ("host", "port", "user", "dbname"))
    project.write("001_a.sql", f'\\c "{named}"\nCREATE TABLE a (id int);')
    assert [each.version for each in ok(project.apply()).applied] == [1]


def test_what_psql_knows_of_the_last_statement_is_known(project: Project):
    project.write(
        "001_a.sql", "CREATE TABLE a (x text);\n\\if :ERROR\n\\q\n\\endif\nINSERT INTO a VALUES (:'SQLSTATE');"
    )
    ok(project.apply())
    assert project.query("SELECT x FROM a") == [("00000",)]


def test_copy_loads_a_file_as_it_is(project: Project):
    project.write("d.csv", "1;Müller\n".encode("latin1"))
    project.write("e.csv", b"\xef\xbb\xbfa\n")
    project.write("001_a.sql", """\
CREATE TABLE a (id int, x text);
CREATE TABLE b (x text);
\\copy a from 'd.csv' with (format csv, delimiter ';', encoding LATIN1)
\\copy b from 'e.csv' csv
""")  # fmt: skip
    ok(project.apply())
    assert project.query("SELECT x FROM a UNION ALL SELECT x FROM b") == [("Müller",), ("\ufeffa",)]
    assert ok(project.apply()).applied == ()


def test_a_reviewed_plan_may_be_asked_for_again_after_it_ran_or_ran_in_part(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "CREATE TABLE b (id int); SELECT * FROM made_later;")
    run = project.run()
    reviewed = run.decide(run.database.observe()).id
    run.database.close()
    failed(project.apply(plan_id=reviewed), "D010", 5)
    project.query("CREATE TABLE made_later ()")
    ok(project.apply(plan_id=reviewed))
    assert project.versions() == [1, 2]
    assert ok(project.apply(plan_id=reviewed)).applied == ()
    failed(project.apply(plan_id="00000000"), "L007", 4)


def test_two_ledgers_and_no_word_which_is_refused(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    (project.folder / "other.toml").write_text(
        '[migrations]\ndir = "."\n[ledger]\ntable = "tidelock.schema_migrations"\n'
    )
    project.write("001_a.sql", "CREATE TABLE IF NOT EXISTS a (id int);")
    ok(project.apply(config=project.folder / "other.toml"))
    failed(project.apply(), "L012", 4)


def test_another_client_encoding_is_refused(project: Project):
    project.write("001_a.sql", "SET client_encoding = 'LATIN1';\nCREATE TABLE a (id int);")
    failed(project.apply(), "S029", 3)
    project.write("001_a.sql", "SET client_encoding = 'UTF8';\nCREATE TABLE a (id int);")
    ok(project.apply())


def test_an_error_without_a_position_points_to_the_name_that_it_is_about(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (\n  id int,\n  site int REFERENCES nowhere (id)\n);")
    assert failed(project.apply(), "D010", 5).detail.splitlines()[0].endswith("001_a.sql:3:23")


@pytest.mark.parametrize(
    "leaves",
    [
        "SET app.x = '5';",
        "BEGIN; SET LOCAL app.x = '5'; COMMIT;",
        "SELECT set_config('app.x', '5', true);",
        "DO $$BEGIN PERFORM set_config('app.x', '5', false); END$$;",
    ],
)
def test_a_setting_of_the_users_own_does_not_cross_over_even_as_an_empty_one(project: Project, leaves: str) -> None:
    project.write("001_a.sql", leaves)
    project.write("002_b.sql", "CREATE TABLE t AS SELECT current_setting('app.x', true) IS NULL AS fresh;")
    ok(project.apply())
    assert project.one("SELECT fresh FROM t") is True
