"""Signals, crashes, lost connections, other runners, poolers: what is left, and what the next run makes of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests.postgres.test_apply import failed, hold, ok
from tests.postgres.test_recovery import statement
from tests.rig.project import Project

from tidelock.core.report import Happening
from tidelock.postgres import recovery


def until(condition, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


ACTIVE = """
SELECT pid FROM pg_stat_activity WHERE starts_with(query, '/* tidelock run') AND strpos(query, %s) > 0 AND state = 'active'
   AND datname = current_database() AND pid <> pg_backend_pid()"""


def running(project: Project, text: str) -> bool:
    return bool(project.query(ACTIVE, text))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_75_within_5_seconds_and_releases_everything(project: Project, number: signal.Signals):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "CREATE TABLE b (id int); SELECT pg_sleep(60);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 75, err
    assert time.monotonic() - sent < 5
    assert "T030" in err
    assert project.versions() == [1]
    assert project.one("SELECT run_id IS NULL FROM schema_migrations_lease WHERE part = 'holder'")
    assert (
        project.query(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '/* tidelock run%' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        == []
    )


def test_a_signal_ends_in_time_and_says_so_when_the_server_does_not_answer(project: Project):
    project.write("001_a.sql", "SELECT pg_sleep(60);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    [(pid,)] = project.query(ACTIVE, "pg_sleep")
    os.kill(pid, signal.SIGSTOP)
    try:
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - sent < 5.5
    finally:
        os.kill(pid, signal.SIGCONT)
    assert process.returncode == 75
    assert "T030" in err
    assert "did not answer" in err


def test_a_signal_during_a_statement_of_its_own_is_taken_up_by_the_next_run(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE INDEX CONCURRENTLY i ON a (id);")
    holder = hold(project, "INSERT INTO a VALUES (1)", 4)
    process = project.start("apply")
    until(lambda: running(project, "CREATE INDEX"))
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 75
    holder.join()
    ok(project.apply())
    assert project.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass") == [(True,)]


PARTITIONED = """CREATE TABLE p (id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"""


@pytest.mark.parametrize("ended_by", ["a signal", "its limit"])
def test_a_detach_that_was_cut_off_half_way_is_finished(project: Project, ended_by: str):
    project.write("001_p.sql", PARTITIONED)
    ok(project.apply())
    limit = "-- tidelock: build-limit 1s\n" if ended_by == "its limit" else ""
    project.write("002_d.sql", f"{limit}alter table p detach partition p1 concurrently;")
    holder = hold(project, "SELECT count(*) FROM p", 5)
    if ended_by == "a signal":
        process = project.start("apply")
        pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
        until(lambda: project.one(pending))
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 75
    else:
        failed(project.apply(), "T022", 75)
    assert project.one("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'p1'::regclass")
    ok(project.apply())  # FINALIZE waits for the holder as well
    holder.join()
    assert any("FINALIZE" in text for text in project.heard.texts(Happening.RECOVERED))
    assert project.one("SELECT count(*) FROM pg_inherits") == 0
    assert project.versions() == [1, 2]


def test_a_detach_that_was_cut_off_before_or_after_is_recognised(project: Project):
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(PARTITIONED.encode())
        detach = statement("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY")
        before = recovery.evidence(conn, detach)
        assert recovery.judge(conn, detach, before, failed=False).verdict is recovery.Verdict.RETRY
        conn.execute("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY")
        assert recovery.judge(conn, detach, before, failed=False).verdict is recovery.Verdict.DONE
        assert recovery.judge(conn, detach, {}, failed=False).verdict is recovery.Verdict.ASK


def test_a_killed_run_is_succeeded_within_15_seconds(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); SELECT pg_sleep(600);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    process.kill()
    process.communicate()
    killed = time.monotonic()
    project.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    )
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    assert time.monotonic() - killed < 15


def test_a_statement_that_the_server_still_executes_is_waited_for_and_not_doubled(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE INDEX CONCURRENTLY i ON a (id);")
    holder = hold(project, "INSERT INTO a VALUES (1)", 14)
    process = project.start("apply")
    until(lambda: running(project, "CREATE INDEX"))
    process.kill()
    process.communicate()
    report = ok(project.apply())
    holder.join()
    assert any("still runs" in text for text in project.heard.texts(Happening.WAITING)), project.heard.events
    assert project.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass") == [(True,)]
    assert len(report.applied) == 1


def test_a_lost_connection_is_made_again_and_the_ledger_tells_what_became_of_it(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "INSERT INTO a VALUES (1); SELECT pg_sleep(1.5);")

    def end() -> None:
        until(lambda: running(project, "pg_sleep"))
        project.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()"
        )

    killer = threading.Thread(target=end)
    killer.start()
    report = ok(project.apply())
    killer.join()
    assert [each.version for each in report.applied] == [1, 2]
    assert project.one("SELECT count(*) FROM a") == 1


def test_a_statement_that_ends_the_connection_each_time_is_not_repeated_for_ever(project: Project):
    project.write("001_a.sql", "SELECT pg_terminate_backend(pg_backend_pid());")
    failed(project.apply(), "T003", 75)


def test_recover_needs_nobody_where_apply_mends_by_itself(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);")
    ok(project.apply())
    project.write("002_b.sql", "CREATE INDEX CONCURRENTLY i ON a (id);")
    with psycopg.connect(project.dsn) as conn:
        conn.execute("SELECT * FROM a")
        conn.execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
        process = project.start("apply")
        until(lambda: running(project, "INDEX CONCURRENTLY"))
        process.kill()
        process.communicate(timeout=10)
    until(lambda: not running(project, "INDEX CONCURRENTLY"))
    shown = project.tidelock("recover")
    assert shown.returncode == 0, shown.stdout
    assert "`tidelock apply` goes on by itself" in shown.stdout
    ok(project.apply())


def test_what_the_catalog_cannot_tell_waits_for_a_person(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nCREATE PROCEDURE fill() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1); COMMIT; PERFORM pg_sleep(60); END$$;",
    )
    ok(project.apply())
    project.write("002_b.sql", "CALL fill();")
    process = project.start("apply")
    until(lambda: running(project, "fill()") and project.one("SELECT count(*) FROM a") == 1)
    process.terminate()
    process.communicate(timeout=10)
    fault = failed(project.apply(), "L020", 4)
    assert "recover --mark-done" in fault.hint
    shown = project.tidelock("recover")
    assert shown.returncode == 4
    assert "CALL fill()" in shown.stdout
    assert project.tidelock("recover", "--mark-done").returncode == 0
    ok(project.apply())
    assert project.versions() == [1, 2]
    assert project.one("SELECT count(*) FROM a") == 1


def test_a_person_may_have_it_run_again(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int); CREATE TABLE slow (s float);\nINSERT INTO slow VALUES (60);\n"
        "CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1); COMMIT; PERFORM pg_sleep(s) FROM slow; END$$;",
    )
    ok(project.apply())
    project.write("002_b.sql", "CALL fill();")
    process = project.start("apply")
    until(lambda: running(project, "fill()"))
    process.terminate()
    process.communicate(timeout=10)
    project.query("UPDATE slow SET s = 0")
    assert project.tidelock("recover", "--retry").returncode == 0
    ok(project.apply())
    assert project.one("SELECT count(*) FROM a") == 2


def test_two_runners_exclude_each_other(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); SELECT pg_sleep(2);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    assert project.tidelock("apply", "--wait", "200ms").returncode == 75
    report = ok(project.apply())
    assert report.applied == ()
    assert process.wait(10) == 0
    process.communicate()


def test_a_server_that_starts_is_waited_for(project: Project, server):
    from tests.rig.postgres import Server

    assert isinstance(server, Server)
    project.dsn = server.dsn
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    server.kill9_all()
    assert project.tidelock("apply", "--wait", "1s").returncode == 75
    process = project.start("apply", "--wait", "60s")
    time.sleep(1)
    server.restart()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "waiting for" in err


def pooled(project: Project, pooled_dsn: str, **asked):
    return project.apply(database=[pooled_dsn], **asked)


def test_a_pooled_runner_applies_and_leaves_nothing_in_the_pool(project: Project, pooled_dsn: str):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nSELECT 'SET work_mem = ''64kB''' \\gexec\n",
    )
    project.write("002_b.sql", "BEGIN READ ONLY;\nSELECT 'SET work_mem = ''64kB''' \\gexec\nCOMMIT;")
    ok(pooled(project, pooled_dsn))
    assert ok(project.apply()).applied == ()
    with psycopg.connect(pooled_dsn, autocommit=True, prepare_threshold=None) as conn:
        assert conn.execute(
            "SELECT current_setting('work_mem'), current_setting('synchronous_commit'), current_setting('lock_timeout')"
        ).fetchone() == ("4MB", "on", "0")
        assert conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_what_a_trigger_changes_in_the_session_does_not_stay_in_the_pool(project: Project, pooled_dsn: str):
    project.write(
        "001_a.sql",
        "CREATE TABLE public.a (id int);\nCREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
        "  PERFORM set_config('work_mem', '64kB', false); SET ROLE pg_monitor; RETURN NULL; END $$;\n"
        "CREATE TRIGGER leak AFTER INSERT ON a EXECUTE FUNCTION leak();",
    )
    project.write("002_b.sql", "INSERT INTO public.a VALUES (1);")
    ok(pooled(project, pooled_dsn))
    with psycopg.connect(pooled_dsn, autocommit=True, prepare_threshold=None) as conn:
        found = conn.execute("SELECT current_setting('work_mem'), current_user = session_user").fetchone()
    assert found == ("4MB", True)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY i ON a (id);",
        "SET search_path = public;",
        "CREATE TEMP TABLE t (id int);",
        "VACUUM a;",
        "SELECT set_config('search_path', 'public', false);",
        "DO $$BEGIN PERFORM pg_catalog.set_config('search_path', 'public', false); END$$;",
        "DO $$BEGIN SET search_path = public; END$$;",
        "DO $$BEGIN EXECUTE 'SET search_path = public'; END$$;",
        "SELECT pg_advisory_lock(1);",
        "DO $$BEGIN IF NOT pg_try_advisory_lock(1) THEN NULL; END IF; END$$;",
    ],
)
def test_what_needs_a_session_stops_before_anything_runs_and_goes_direct_on_demand(
    project: Project, pooled_dsn: str, statement: str
):
    project.write("001_a.sql", f"CREATE TABLE a (id int);\n{statement}")
    fault = failed(pooled(project, pooled_dsn), "D012", 5)
    assert "direct" in fault.hint
    assert project.one("SELECT to_regclass('a') IS NULL")
    ok(pooled(project, pooled_dsn, direct=project.dsn))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT set_config('search_path', 'public', true);",
        "DO $$BEGIN SET LOCAL search_path = public; END$$;",
        "SELECT pg_advisory_xact_lock(1);",
    ],
)
def test_what_ends_with_the_transaction_goes_through_a_pooler(project: Project, pooled_dsn: str, statement: str):
    project.write("001_a.sql", f"CREATE TABLE a (id int);\n{statement}")
    ok(pooled(project, pooled_dsn))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'CREATE TEMP TABLE x (a int)' \\gexec\n",
        "DO $$BEGIN EXECUTE 'CREATE TEMP ' || 'TABLE x (a int)'; END$$;",
        "DO $$BEGIN CREATE TEMP TABLE x (a int); END$$;",
        "SELECT hidden();",
    ],
)
@pytest.mark.parametrize("begin", ["", "BEGIN;"])
def test_temporary_tables_that_no_file_shows_do_not_stay_in_the_pool(
    project: Project, pooled_dsn: str, statement: str, begin: str
):
    project.query(
        "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE x (a int); END$$"
    )
    project.write("001_a.sql", f"{begin}\n{statement}\n{'COMMIT;' if begin else ''}")
    project.write("002_b.sql", "CREATE TABLE saw AS SELECT to_regclass('pg_temp.x')::text AS r;")
    ok(pooled(project, pooled_dsn))
    assert project.one("SELECT r FROM saw") is None
    assert project.one("SELECT count(*) FROM pg_class WHERE relname = 'x'") == 0


@pytest.mark.parametrize("end", ["SELECT 1/0;", "ROLLBACK;"])
def test_locks_that_no_file_shows_do_not_stay_in_the_pool_when_nothing_else_does(
    project: Project, pooled_dsn: str, end: str
):
    project.query(
        "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_lock(4711); END$$"
    )
    project.write("001_a.sql", f"{'BEGIN;' if 'ROLL' in end else ''}\nSELECT hidden();\n{end}")
    pooled(project, pooled_dsn)
    assert project.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") == 0


def test_a_pooled_and_a_direct_runner_exclude_each_other(project: Project, pooled_dsn: str):
    project.write("001_a.sql", "CREATE TABLE a (id int); SELECT pg_sleep(2);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    failed(pooled(project, pooled_dsn, wait="300ms"), "T010", 75)
    assert ok(pooled(project, pooled_dsn)).applied == ()
    assert process.wait(10) == 0
    process.communicate()


def test_a_password_in_an_argument_is_not_in_the_process_list(project: Project):
    info = psycopg.conninfo.conninfo_to_dict(project.dsn)
    url = f"postgresql://{info['user']}:s3cret-word@{info['host']}:{info['port']}/{info['dbname']}"
    project.write("001_a.sql", "SELECT pg_sleep(3);")
    import subprocess
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "tidelock", "apply", "--dir", str(project.folder), "--database", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: running(project, "pg_sleep"))
    assert "s3cret-word" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "s3cret-word" not in out + err


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("table", "reindex"),
    [
        ("a", "reindex table concurrently a"),
        ("p", "reindex table concurrently p"),
        ("a", "reindex schema concurrently public"),
    ],
)
def test_the_copies_of_toast_that_a_reindex_left_are_dropped_too(project: Project, table: str, reindex: str):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int, t text);\nCREATE TABLE p (id int, t text) PARTITION BY RANGE (id);\n"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);\n"
        "CREATE INDEX i ON a (id);\nCREATE INDEX ip ON p (id);",
    )
    ok(project.apply())
    project.write("002_r.sql", f"-- tidelock: build-limit 1s\n{reindex};")
    with psycopg.connect(project.dsn) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute(f"SELECT * FROM {table}".encode())
        failed(project.apply(wait="5s"), "T022", 75)
    invalid = "SELECT indrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    assert any("pg_toast" in name for (name,) in project.query(invalid))
    ok(project.apply())
    assert project.query(invalid) == []


def test_recover_says_that_the_statement_runs_now_and_who_runs_it(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE a (id int);\nCREATE PROCEDURE fill() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1); COMMIT;"
        " PERFORM pg_sleep(60); END$$;",
    )
    ok(project.apply())
    project.write("002_b.sql", "CALL fill();")
    process = project.start("apply")
    until(lambda: running(project, "fill()") and project.one("SELECT count(*) FROM a") == 1)
    [(pid,)] = project.query(ACTIVE, "fill()")
    for alive in (True, False):
        if not alive:
            process.kill()
            process.communicate(timeout=10)
        shown = project.tidelock("recover")
        assert shown.returncode == 75, shown.stderr
        assert "It runs now" in shown.stdout
        assert f"pid {pid}, for" in shown.stdout
        assert "--mark-done" not in shown.stdout
        refused = project.tidelock("recover", "--retry", "--wait", "0s")
        assert refused.returncode == 75
        assert f"(pid {pid}, for" in refused.stderr
    refused = project.tidelock("recover", "--retry", "--wait", "12s")
    assert "T011" in refused.stderr
    assert "no sign of life for" in refused.stderr
    assert "died" not in refused.stderr
    project.query("SELECT pg_terminate_backend(%s, 5000)", pid)
    assert "--mark-done" in project.tidelock("recover").stdout
