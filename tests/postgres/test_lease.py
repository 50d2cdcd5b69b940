"""One run at a time, and who succeeds one that died: on a real server."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.rig.project import Project

from tidelock.postgres import ledger, tables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

SLOW = "CREATE TABLE a (id int); SELECT pg_sleep(4); INSERT INTO a VALUES (1);"


@pytest.fixture
def working(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of a transaction that takes 3 s."""
    project.write("001_a.sql", SLOW)
    process = project.start("apply")
    wait_for(project, "state = 'active' AND query LIKE '/* tidelock run %pg_sleep%'")
    yield process
    process.kill()
    process.communicate()


def wait_for(project: Project, condition: str, wait_s: float = 20.0) -> int:
    """The pid of a session of which this holds."""
    ends = time.monotonic() + wait_s
    while not (
        found := project.query(f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {condition}")
    ):
        assert time.monotonic() < ends, condition
        time.sleep(0.05)
    return int(found[0][0])


def took_over(project: Project) -> float:
    """Seconds that `apply` took, which must have ended well and with each effect once."""
    began = time.monotonic()
    done = project.tidelock("apply", "--wait", "60s")
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert project.one("SELECT count(*) FROM a") == 1
    return took_s


def test_a_run_whose_session_ended_is_succeeded_at_once(project: Project, working: subprocess.Popen[str]) -> None:
    working.send_signal(signal.SIGSTOP)  # it cannot notice, let alone connect again
    pid = wait_for(project, "query LIKE '/* tidelock run %pg_sleep%'")
    project.query("SELECT pg_terminate_backend(%s, 5000)", pid)
    assert took_over(project) < 9  # 4 of them are the migration's own
    working.send_signal(signal.SIGCONT)
    assert working.wait(30) == 0
    assert project.one("SELECT count(*) FROM a") == 1


def test_a_killed_run_is_succeeded_when_its_statement_has_ended(
    project: Project, working: subprocess.Popen[str]
) -> None:
    working.kill()
    assert took_over(project) < 14  # what is left of 4, and 4 again


def test_a_live_session_keeps_the_lease_while_its_run_gives_signs_of_life(
    project: Project, working: subprocess.Popen[str]
) -> None:
    assert project.tidelock("apply", "--wait", "0s").returncode == 75
    assert working.wait(30) == 0
    assert project.one("SELECT count(*) FROM a") == 1


def test_a_paused_run_is_succeeded_after_its_lease_and_cannot_go_on(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int);\nCOPY a FROM stdin;\n1\n\\.\nSELECT pg_sleep(1);\n")
    process = project.start("apply", "--wait", "1s")
    wait_for(project, "query LIKE '/* tidelock run %pg_sleep%'")
    process.send_signal(signal.SIGSTOP)
    wait_for(project, "state = 'idle in transaction' AND query LIKE '/* tidelock run %'")
    began = time.monotonic()
    took_over(project)
    assert 5 < time.monotonic() - began < 20
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert project.one("SELECT count(*) FROM a") == 1


def test_a_session_of_another_start_with_the_same_pid_is_not_the_holders(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);")
    project.apply()
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    with psycopg.connect(project.dsn, autocommit=True) as other:
        holds = (
            "UPDATE schema_migrations_lease SET run_id = 'dead', pid = %s, backend_start = %s, at = clock_timestamp()"
        )
        start = other.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone()
        assert start is not None
        other.execute(holds, (other.info.backend_pid, start[0]))
        assert project.tidelock("apply", "--wait", "1s").returncode == 75
        other.execute(holds, (other.info.backend_pid, "2001-01-01"))
        assert took_over(project) < 5


def test_a_run_that_saw_no_ledger_leaves_the_one_alone_that_another_made_meanwhile(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.apply()
    before = ledger.Ledger("public", "schema_migrations", {})
    with psycopg.connect(project.dsn) as works, psycopg.connect(project.dsn, autocommit=True) as comes:
        works.execute("UPDATE schema_migrations_lease SET run_id = 'x'")
        works.execute("INSERT INTO schema_migrations_journal (run_id, event) VALUES ('x', 'run')")
        comes.execute("SET lock_timeout = '1s'")
        found = tables.prepare(comes, before, created_by_file=None, highest_version=1, user="postgres")
        assert found.format == ledger.FORMAT


def test_a_run_that_waited_for_another_reports_the_version_that_this_one_reached(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    assert project.tidelock("apply").returncode == 0
    project.write("002_b.sql", "SELECT pg_sleep(3); CREATE TABLE b (id int);")
    both = [project.start("apply", "--wait", "60s", "--json") for _ in range(2)]
    found = [json.loads(each.communicate(timeout=60)[0]) for each in both]
    assert [each["version"] for each in found] == [2, 2]


@pytest.mark.every_server
@pytest.mark.parametrize("sees", [False, True])
def test_a_silent_run_whose_session_may_not_be_ended_is_told_with_the_right_that_lacks(
    project: Project, sees: bool
) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);")
    project.apply()
    project.write("002_b.sql", "SELECT 1;")
    first, second = (f"lease_{each}_{'sees' if sees else 'blind'}" for each in ("first", "second"))
    for each in (first, second):
        project.query(f"DROP ROLE IF EXISTS {each}")
        project.query(f"CREATE ROLE {each} LOGIN")
    rights = (
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {second}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {second}"
    )
    project.query(rights + (f"; GRANT pg_read_all_stats TO {second}" if sees else ""))
    with psycopg.connect(project.dsn, user=first, autocommit=True) as holder:
        project.query(
            "UPDATE schema_migrations_lease l SET run_id = 'frozen', pid = %s, who = 'first@pod', at = clock_timestamp() - interval '30 s',"
            " backend_start = (SELECT backend_start FROM pg_stat_activity a WHERE a.pid = %s)",
            holder.info.backend_pid,
            holder.info.backend_pid,
        )
        done = project.tidelock("apply", "--wait", "1s", "--username", second)
        assert done.returncode == 75, done.stderr
        assert "T010" in done.stderr
        assert "no sign of life for 3" in done.stderr
        assert (
            f"(pid {holder.info.backend_pid}) could not be ended: {second} is neither a member of {first}"
            in done.stderr
        )
        assert f'GRANT "{first}" TO "{second}"' in done.stderr
        project.query(f"GRANT {first} TO {second}")
        assert project.tidelock("apply", "--wait", "10s", "--username", second).returncode == 0
    for each in (second, first):
        project.query(f"DROP OWNED BY {each}; DROP ROLE {each}")
