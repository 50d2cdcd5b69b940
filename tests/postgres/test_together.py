"""Small migrations that share a query: each is a transaction of its own, and each gets its own word."""

from __future__ import annotations

import signal
import time

import psycopg
import pytest
from tests.postgres.test_apply import failed, hold, ok
from tests.postgres.test_interruption import running, until
from tests.rig.project import Project

from tidelock.core.report import Happening


def write(project: Project, count: int) -> None:
    """001 makes a table, those after it put their number into it."""
    project.write("001_make.sql", "CREATE TABLE a (id int);")
    for number in range(2, count + 1):
        project.write(f"{number:03}_row.sql", f"INSERT INTO a VALUES ({number});")


def transactions(project: Project) -> list[tuple[int, ...]]:
    """The version in each row of the ledger, one tuple a transaction that wrote it."""
    rows = project.query(
        "SELECT array_agg(version ORDER BY version) FROM schema_migrations GROUP BY xmin::text ORDER BY 1"
    )
    return [tuple(versions) for (versions,) in rows]


@pytest.mark.every_server
def test_many_small_files_are_as_many_transactions_in_few_queries(project: Project):
    write(project, 70)
    applied = ok(project.apply()).applied
    assert [each.version for each in applied] == list(range(1, 71))
    assert transactions(project) == [(version,) for version in range(1, 71)]
    assert project.query("SELECT id FROM a ORDER BY id") == [(number,) for number in range(2, 71)]
    begun = project.heard.texts(Happening.MIGRATION)
    assert begun == ["and 29 more, each in a transaction"] * 2 + ["and 9 more, each in a transaction"]


def test_a_failure_keeps_those_before_it_and_names_its_own_file_and_line(project: Project):
    write(project, 9)
    project.write("005_row.sql", "INSERT INTO a VALUES (5);\nINSERT INTO a\n  VALUES ('five');")
    report = project.apply()
    fault = failed(report, "D010", 5)
    assert [each.version for each in report.applied] == [1, 2, 3, 4]
    assert fault.message.startswith("005 row failed; nothing of it remains")
    assert "005_row.sql:3:11" in fault.detail
    assert project.versions() == [1, 2, 3, 4]
    assert project.one("SELECT count(*) FROM schema_migrations_journal WHERE event = 'refused' AND version = 5") == 1
    project.write("005_row.sql", "INSERT INTO a VALUES (5);")
    assert [each.version for each in ok(project.apply()).applied] == [5, 6, 7, 8, 9]
    assert project.one("SELECT array_agg(id ORDER BY id) FROM a") == list(range(2, 10))


@pytest.mark.parametrize("broken", [1, 2, 6, 9])
def test_what_the_server_cannot_read_stops_none_of_those_before_it(project: Project, broken: int):
    write(project, 9)
    project.write(f"{broken:03}_row.sql", "INSERT INTO a VALUE (1);")
    (project.folder / "001_make.sql").unlink() if broken == 1 else None
    report = project.apply()
    fault = failed(report, "D010", 5)
    assert fault.message.startswith(f"{broken:03} row failed")
    assert f"{broken:03}_row.sql:1:" in fault.detail
    assert [each.version for each in report.applied] == list(range(1, broken))


def test_a_deferred_check_fails_the_migration_whose_commit_it_is(project: Project):
    project.write("001_make.sql", "CREATE TABLE a (id int PRIMARY KEY);")
    project.write(
        "002_refer.sql", "CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED); INSERT INTO b VALUES (7);"
    )
    project.write("003_after.sql", "CREATE TABLE c (id int);")
    report = project.apply()
    fault = failed(report, "D010", 5)
    assert "002 refer failed" in fault.message
    assert "at COMMIT" in fault.message
    assert project.versions() == [1]


def test_notices_and_rows_belong_to_the_file_that_caused_them(project: Project):
    write(project, 3)
    project.write("004_guarded.sql", "CREATE TABLE IF NOT EXISTS a (id int);\nDROP TABLE IF EXISTS nobody;")
    project.write("005_rows.sql", "INSERT INTO a VALUES (50) RETURNING id;")
    project.write("006_guarded.sql", "DROP TABLE IF EXISTS somebody;")
    ok(project.apply())
    said = [
        (event.version, event.what.value, event.text)
        for event in project.heard.events
        if event.what in (Happening.NOTICE, Happening.ROWS)
    ]
    assert said == [
        (4, "notice", 'relation "a" already exists, skipping'),
        (4, "notice", 'table "nobody" does not exist, skipping'),
        (5, "rows", "id\n50"),
        (6, "notice", 'table "somebody" does not exist, skipping'),
    ]
    kept = project.query("SELECT version FROM schema_migrations_journal WHERE event = 'output' ORDER BY version")
    assert kept == [(4,), (5,), (6,)]


def test_a_notice_at_commit_is_not_told_of_the_next_file(project: Project):
    project.write("001_make.sql", "CREATE TABLE a (id int);")
    project.write(
        "002_trigger.sql",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'late'; RETURN NULL; END$$;\n"
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f();",
    )
    project.write("003_row.sql", "INSERT INTO a VALUES (3);")
    project.write("004_next.sql", "CREATE TABLE b (id int);")
    ok(project.apply())
    assert {event.version for event in project.heard.events if event.what is Happening.NOTICE} <= {3}


def test_a_lock_in_the_middle_is_waited_for_and_the_rest_goes_on(project: Project):
    project.write("001_make.sql", "CREATE TABLE a (id int); CREATE TABLE held (id int);")
    ok(project.apply())
    write(project, 9)
    project.write("001_make.sql", "CREATE TABLE a (id int); CREATE TABLE held (id int);")
    project.write("005_row.sql", "ALTER TABLE held ADD COLUMN x int;")
    holder = hold(project, "SELECT * FROM held", 4)
    report = ok(project.apply(wait="30s"))
    holder.join()
    assert [each.version for each in report.applied] == list(range(2, 10))
    waited = {each.version: each.lock_wait_s for each in report.applied}
    assert waited.pop(5) >= 1
    assert set(waited.values()) == {0.0}
    assert any("grafana" in text for text in project.heard.texts(Happening.WAITING))


def test_a_signal_names_the_migration_that_it_cut_off_and_counts_those_before_it(project: Project):
    project.write("001_make.sql", "CREATE TABLE a (id int); CREATE TABLE held (id int);")
    ok(project.apply())
    for number in (2, 3, 5, 6):
        project.write(f"{number:03}_row.sql", f"INSERT INTO a VALUES ({number});")
    project.write("004_slow.sql", "ALTER TABLE held ADD COLUMN x int;")
    with psycopg.connect(project.dsn) as conn:
        conn.execute("SELECT * FROM held")
        process = project.start("apply")
        until(lambda: running(project, "ALTER TABLE held"))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 75, err
    assert "while 004 slow was running" in err
    assert "✓ 002 row" in out
    assert "✓ 003 row" in out
    assert project.versions() == [1, 2, 3]
    assert [each.version for each in ok(project.apply()).applied] == [4, 5, 6]


def test_a_run_that_lost_the_lease_in_the_middle_applies_nothing_more(project: Project):
    write(project, 5)
    project.write("003_row.sql", "UPDATE schema_migrations_lease SET run_id = 'other' WHERE part = 'holder';")
    failed(project.apply(), "T012", 75)
    assert project.versions()[-1] <= 3
    assert project.one("SELECT max(id) FROM a") <= 3


def test_files_with_wishes_of_their_own_run_by_themselves(project: Project):
    write(project, 4)
    project.write(
        "003_row.sql",
        "-- tidelock: lock-timeout 7s\nINSERT INTO a SELECT current_setting('lock_timeout')::interval = '7s';",
    )
    project.write(
        "003_row.sql",
        "-- tidelock: lock-timeout 7s\nINSERT INTO a SELECT extract(epoch FROM current_setting('lock_timeout')::interval);",
    )
    project.write("005_path.sql", "SET search_path = pg_catalog;\nSELECT 1;")
    project.write("006_row.sql", "INSERT INTO a SELECT extract(epoch FROM current_setting('lock_timeout')::interval);")
    ok(project.apply())
    assert project.one("SELECT array_agg(id ORDER BY id) FROM a") == [2, 2, 4, 7]


RULE = (
    "CREATE TABLE r (i int); CREATE RULE twice AS ON INSERT TO r DO ALSO (SELECT 'x' AS a; SELECT 'y' AS b);\n"
    "CREATE TABLE p (i int PRIMARY KEY, j int REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
)


def test_a_statement_with_several_answers_shifts_nothing(project: Project):
    project.write("001_rule.sql", RULE)
    project.write("002_rows.sql", "INSERT INTO r VALUES (1);")
    project.write("003_late.sql", "INSERT INTO p VALUES (1, 7);")
    project.write("004_after.sql", "CREATE TABLE after (i int);")
    report = project.apply()
    fault = failed(report, "D010", 5)
    assert fault.message.startswith("003 late failed")
    assert [each.version for each in report.applied] == [1, 2] == project.versions()
    project.write("003_late.sql", "INSERT INTO p VALUES (1, 1);")
    assert [each.version for each in ok(project.apply()).applied] == [3, 4]


def test_a_statement_with_several_answers_alone(project: Project):
    project.write("001_rule.sql", RULE + "\nINSERT INTO r VALUES (1);\nSET work_mem = '5MB';")
    assert [each.version for each in ok(project.apply()).applied] == [1]


def test_copy_to_stdout_is_passed_over(project: Project):
    project.write(
        "001_a.sql",
        "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT;\nCREATE TABLE a (i int);",
    )
    project.write("002_b.sql", "CREATE TABLE b (i int);")
    assert [each.version for each in ok(project.apply()).applied] == [1, 2]
    assert project.one("SELECT to_regclass('a') IS NOT NULL")


def test_a_signal_after_a_file_that_said_something_still_ends_with_75(project: Project):
    project.write("001_make.sql", "CREATE TABLE a (id int); CREATE TABLE held (id int);")
    ok(project.apply())
    project.write("002_says.sql", "DROP TABLE IF EXISTS nobody;\nINSERT INTO a VALUES (2) RETURNING id;")
    project.write("003_slow.sql", "ALTER TABLE held ADD COLUMN x int;")
    with psycopg.connect(project.dsn) as conn:
        conn.execute("SELECT * FROM held")
        process = project.start("apply")
        until(lambda: running(project, "ALTER TABLE held"))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 75, err
    assert "✓ 002 says" in out
    assert project.one("SELECT count(*) FROM schema_migrations_journal WHERE event = 'output' AND version = 2") == 1
