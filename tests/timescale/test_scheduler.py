"""Background jobs that TimescaleDB's own scheduler runs, and a migration in their midst: on a server of the tests' own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import only_on
from tests.postgres.test_apply import ok
from tests.postgres.test_interruption import until
from tests.rig.project import Project

from tidelock.core import quieting
from tidelock.core.report import Happening
from tidelock.timescale import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rig.postgres import Server

TABLE = """
CREATE TABLE r (time timestamptz NOT NULL, device int, v double precision);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
ALTER TABLE r SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
  SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v FROM r GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
  SELECT time_bucket('1 day', bucket) AS bucket, device, sum(v) AS v FROM hourly GROUP BY 1, 2 WITH NO DATA;
SELECT add_compression_policy('r', INTERVAL '1 day', initial_start => '2090-01-01');
SELECT add_continuous_aggregate_policy('hourly', NULL, INTERVAL '1 hour', INTERVAL '1 hour', initial_start => '2090-01-01');
SELECT add_continuous_aggregate_policy('daily', NULL, INTERVAL '1 hour', INTERVAL '1 hour', initial_start => '2090-01-01');
CREATE TABLE ran (at timestamptz DEFAULT clock_timestamp());
CREATE PROCEDURE work(job_id int, config jsonb) LANGUAGE plpgsql AS $$BEGIN INSERT INTO ran DEFAULT VALUES; COMMIT; END$$;
SELECT add_job('work', INTERVAL '1 day', config => '{"hypertable": "r"}', initial_start => '2090-01-01');
"""
ROWS = """
INSERT INTO r SELECT t, d, random() FROM generate_series('2026-01-01'::timestamptz, '2026-01-08 23:59', '1 minute') t,
  generate_series(1, 240) d"""
JOBS = {
    "compression": "policy_compression",
    "hourly": "policy_refresh_continuous_aggregate",
    "daily": "policy_refresh_continuous_aggregate",
    "work": "work",
}


@pytest.fixture
def project(request: pytest.FixtureRequest, timescale_server: Callable[..., Server], tmp_path: Path) -> Project:
    server = timescale_server(max_worker_processes="64", max_connections="60", shared_buffers="256MB")
    folder = tmp_path / "migrations"
    folder.mkdir()
    project = Project(folder, server.database(server.create_database()))
    project.query("CREATE EXTENSION timescaledb")  # by itself: else its scheduler starts a minute later
    only_on(request, project.dsn)
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    return project


def job(project: Project, what: str) -> int:
    """The number of a job."""
    found = project.one(
        "SELECT min(job_id) FROM timescaledb_information.jobs WHERE proc_name = %s AND (hypertable_name = %s OR %s)",
        JOBS[what],
        what,
        what in ("compression", "work"),
    )
    assert isinstance(found, int)
    return found


def due(project: Project, what: str, when: str = "0 s") -> int:
    """It is due in so long; its number."""
    number = job(project, what)
    project.query(f"SELECT alter_job({number}, next_start => clock_timestamp() + interval '{when}')")
    return number


def is_running(project: Project, number: int) -> bool:
    [(name,)] = project.query(f"SELECT application_name FROM _timescaledb_config.bgw_job WHERE id = {number}")
    return bool(project.query("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", name))


def runs(project: Project, number: int) -> int:
    """How often a job has run to its end."""
    found = project.query(
        "SELECT total_runs FROM timescaledb_information.job_stats WHERE job_id = %s AND job_status = 'Scheduled'",
        number,
    )
    return int(found[0][0]) if found else 0


PORTAL = "err_message LIKE 'cannot drop portal%%'"


def broken(project: Project) -> bool:
    """Every job of this server fails, TimescaleDB's own housekeeping too, once its work is done and committed.

    PostgreSQL 15.20 refuses to drop a portal that never ran a query, as TimescaleDB up to 2.28.3 does; 15.18 does not.
    """
    found = project.query(f"SELECT 1 FROM timescaledb_information.job_errors WHERE job_id < 1000 AND {PORTAL}")
    return bool(found)


def errors(project: Project) -> list[tuple[object, ...]]:
    """What of jobs failed, but for what all of them do."""
    return project.query(
        "SELECT job_id, sqlerrcode, err_message FROM timescaledb_information.job_errors "
        f"WHERE NOT (%s AND {PORTAL}) ORDER BY start_time",
        broken(project),
    )


def done(project: Project) -> dict[str, int]:
    """Procedure → how often its job ran; to a good end, where that can be."""
    count = "total_runs" if broken(project) else "total_successes"
    return dict(
        project.query(
            f"SELECT proc_name || ' of ' || j.hypertable_name, sum({count})::int FROM timescaledb_information.jobs j "
            "JOIN timescaledb_information.job_stats USING (job_id) WHERE job_id >= 1000 GROUP BY 1"
        )
    )


def sent(project: Project, statement: str) -> str:
    """What becomes of a statement that is simply sent, with a lock_timeout: its SQLSTATE. It is rolled back."""
    with psycopg.connect(project.dsn) as conn:
        try:
            conn.execute("SET lock_timeout = '50ms'")
            conn.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate or "?"
        finally:
            conn.rollback()
    return ""


@pytest.mark.parametrize("what", ["compression", "hourly"])
def test_a_migration_waits_for_a_policy_that_the_scheduler_runs_and_neither_fails(project: Project, what: str):
    project.query(ROWS)
    number = due(project, what)
    until(lambda: is_running(project, number), 40)
    blocked = ""
    while is_running(project, number) and not blocked:
        blocked = sent(
            project, "ALTER TABLE r ADD COLUMN k int; DROP MATERIALIZED VIEW daily; DROP MATERIALIZED VIEW hourly"
        )
    assert blocked in ("55P03", "40P01")  # the control: the same is refused when it is simply sent
    running = is_running(project, number)
    project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;\nCREATE INDEX ON hourly (v);")
    report = ok(project.apply())
    assert running
    assert any("waiting for its end" in text for text in project.heard.texts(Happening.WAITING))
    assert report.applied[0].lock_wait_s < 0.5
    until(lambda: runs(project, number) >= 1, 40)
    assert errors(project) == []
    again = due(project, what)
    until(lambda: runs(project, again) >= 2, 40)
    assert errors(project) == []


def test_every_job_of_the_hypertable_and_of_the_aggregates_above_it_is_held_while_the_step_runs(project: Project):
    project.query(ROWS.replace("120", "2"))
    numbers = [due(project, each, "2 s") for each in JOBS]
    project.write(
        "002_k.sql",
        "ALTER TABLE r ADD COLUMN k int;\nSELECT pg_sleep(7);\nCREATE TABLE seen AS SELECT job_id, next_start - now() AS off"
        " FROM timescaledb_information.jobs;\nCREATE TABLE during AS SELECT clock_timestamp() AS until;",
    )
    ok(project.apply())
    assert project.one(
        "SELECT bool_and(off > interval '2 hours') FROM seen WHERE job_id = ANY (%s)", sorted(set(numbers))
    )
    assert project.one("SELECT count(*) FROM ran WHERE at < (SELECT until FROM during)") == 0
    until(lambda: all(runs(project, each) >= 1 for each in numbers), 30)
    assert errors(project) == []


def test_a_job_that_is_due_at_this_very_moment_is_held_or_waited_for(project: Project):
    project.query(ROWS.replace("120", "20"))
    before = dict.fromkeys(JOBS, 0)
    for number in range(8):
        project.query("INSERT INTO r SELECT time, device, 0 FROM r ORDER BY time LIMIT 1000")
        numbers = {what: due(project, what, f"{number * 120} ms") for what in JOBS}
        project.write(
            f"{number + 2:03}_k.sql", f"ALTER TABLE r ADD COLUMN k{number} int;\nCREATE INDEX ON r (k{number});"
        )
        report = ok(project.apply())
        assert report.applied[0].lock_wait_s < 0.5
        for what, each in numbers.items():
            until(lambda each=each, what=what: runs(project, each) > before[what], 40)
            before[what] = runs(project, each)
        assert errors(project) == []


def test_a_step_that_takes_longer_than_the_hold_keeps_renewing_it(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.query(ROWS.replace("120", "2"))
    for module in (quieting, quiet):
        monkeypatch.setattr(module, "HOLD", timedelta(seconds=6))
        monkeypatch.setattr(module, "RENEWAL", timedelta(seconds=3))
    number = due(project, "work", "3 s")
    sleeps = "SELECT pg_sleep(1);\n" * 14
    project.write(
        "002_k.sql",
        f"ALTER TABLE r ADD COLUMN k int;\n{sleeps}CREATE TABLE during AS SELECT clock_timestamp() AS until;",
    )
    ok(project.apply())
    assert project.one("SELECT count(*) FROM ran WHERE at < (SELECT until FROM during)") == 0
    until(lambda: runs(project, number) >= 1, 30)
    assert errors(project) == []


RESTLESS = """
SELECT alter_job(job_id, schedule_interval => INTERVAL '1 second', fixed_schedule => false, next_start => now())
  FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy%'"""
MORE = """
INSERT INTO r SELECT t, d, 1 FROM generate_series(now() - INTERVAL '{days} days', now() - INTERVAL '{days} days' + INTERVAL '6 hours',
  '1 minute') t, generate_series(1, 40) d"""
AGAIN = """-- tidelock: rebuild hourly
DROP MATERIALIZED VIEW hourly CASCADE;
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
  SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v, {} AS more FROM r GROUP BY 1, 2;
"""
POLICIES = {
    "policy_compression of r",
    "policy_retention of r",
    "policy_refresh_continuous_aggregate of hourly",
    "policy_refresh_continuous_aggregate of daily",
}


@pytest.mark.timescale(">= 2.28")  # before, compression fails where retention takes a chunk away from it
def test_policies_that_never_rest_have_no_errors_beside_apply_refresh_and_rebuild(project: Project):
    project.query(MORE.format(days=3))
    project.query("SELECT add_retention_policy('r', INTERVAL '300 days')")
    ran: dict[str, int] = dict.fromkeys(POLICIES, 0)
    for number in range(6):
        project.query(RESTLESS)
        before = done(project)
        for days in (2, 5, 310, 330):
            project.query(MORE.format(days=days + number))
        project.write(
            f"{number * 2 + 2:03}_k.sql", f"ALTER TABLE r ADD COLUMN k{number} int;\nCREATE INDEX ON hourly (v);"
        )
        ok(project.apply())
        shown = project.tidelock("aggregates", "refresh", "hourly", "daily", timeout=120)
        assert shown.returncode == 0, shown.stderr
        again = ("count(*)", "max(v)")[number % 2]
        project.write(f"{number * 2 + 3:03}_again.sql", AGAIN.format(again))
        ok(project.apply())
        until(lambda before=before: all(done(project)[each] > before.get(each, 0) for each in POLICIES), 60)
        for each, times in done(project).items():
            ran[each] = ran.get(each, 0) + times
        assert errors(project) == []
    assert all(ran[each] >= 12 for each in POLICIES), ran


def test_a_job_of_somebody_else_is_held_or_told_of_and_the_step_goes_on(project: Project):
    project.query("CREATE ROLE deployer LOGIN")
    name = project.one("SELECT current_database()")
    project.query(f"ALTER DATABASE {name} OWNER TO deployer")
    project.query("ALTER SCHEMA public OWNER TO deployer")
    for (table,) in project.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        project.query(f"ALTER TABLE {table} OWNER TO deployer")
    due(project, "work", "1 h")
    start = project.one("SELECT next_start FROM timescaledb_information.jobs WHERE proc_name = 'work'")
    theirs = Project(project.folder, make_conninfo(project.dsn, user="deployer"))
    theirs.write(
        "002_k.sql",
        "ALTER TABLE r ADD COLUMN k int;\nCREATE TABLE seen AS SELECT next_start - now() AS off "
        "FROM timescaledb_information.jobs WHERE proc_name = 'work';",
    )
    ok(theirs.apply())
    told = any("could not be held off" in text for text in theirs.heard.texts(Happening.NOTE))
    assert project.one("SELECT off > interval '2 hours' FROM seen") is not told  # 2.28.3 lets the table's owner do it
    assert project.one("SELECT next_start FROM timescaledb_information.jobs WHERE proc_name = 'work'") == start
