"""Background jobs are held off while a step changes what they work on, and put back after it: on a real server."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import ok
from tests.postgres.test_interruption import running, until

from tidelock.core.quieting import HOLD
from tidelock.core.report import Happening
from tidelock.timescale.held import PUT_OFF, held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.project import Project

TABLE = """
CREATE TABLE r (time timestamptz NOT NULL, device int, v double precision);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO r SELECT t, d, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-01-06', '1 hour') t, generate_series(1, 5) d;
ALTER TABLE r SET (timescaledb.enable_columnstore);
SELECT add_retention_policy('r', INTERVAL '4000 days', schedule_interval => INTERVAL '1 day',
  initial_start => '2090-01-01 03:30', timezone => 'Europe/Berlin');
"""
# Newest chunk first, in one transaction: against the order in which everybody else locks them.
PACK = """
CREATE PROCEDURE pack(job_id int, config jsonb) LANGUAGE plpgsql AS $$
DECLARE c regclass;
BEGIN
  FOR c IN SELECT s FROM show_chunks('r') s ORDER BY s DESC LOOP
    PERFORM compress_chunk(c, true);
    PERFORM pg_sleep(0.7);
  END LOOP;
END $$;
"""
JOBS = "SELECT to_jsonb(j) FROM _timescaledb_config.bgw_job j WHERE id >= 1000 ORDER BY id"
INDEX = "CREATE INDEX ON r (v);"
START = "SELECT next_start FROM timescaledb_information.jobs WHERE job_id = %s"
LOCKED = """
SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
 WHERE a.datname = current_database() AND a.application_name = %s AND l.mode = 'ExclusiveLock' AND l.relation IS NOT NULL"""


def job(project: Project) -> int:
    found = project.one("SELECT min(job_id) FROM timescaledb_information.jobs WHERE job_id >= 1000")
    assert isinstance(found, int)
    return found


def soon(project: Project, interval: str) -> int:
    """The retention policy of r is due then; its number."""
    number = job(project)
    project.query(
        f"SELECT alter_job({number}, next_start => now() + interval '{interval}', timezone => 'Europe/Berlin')"
    )
    return number


@dataclass
class Packing:
    """The job that packs r, and how it ended."""

    error: str = ""


@contextmanager
def packing(project: Project) -> Iterator[Packing]:
    """It runs now, and has locked its newest chunk; the block is left when it has ended.

    It runs under its name in a session: a server with many databases has no worker left for a scheduler in each.
    """
    project.query(PACK)
    project.query("SELECT add_job('pack', INTERVAL '1 day', config => '{\"hypertable\": \"r\"}')")
    [(number, name)] = project.query(
        "SELECT id, application_name FROM _timescaledb_config.bgw_job WHERE proc_name = 'pack'"
    )
    seen = Packing()

    def work() -> None:
        try:
            with psycopg.connect(project.dsn, autocommit=True, application_name=name) as conn:
                conn.execute(f"CALL pack({number}, '{{}}')".encode())
        except psycopg.Error as error:
            seen.error = error.sqlstate or str(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: project.one(LOCKED, name) > 0)
        yield seen
    finally:
        thread.join()


def test_a_job_is_put_off_while_the_step_runs_and_has_its_start_and_all_else_again_after_it(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    number = soon(project, "10 minutes")
    before, start = project.query(JOBS), project.one(START, number)
    project.write(
        "002_k.sql",
        "ALTER TABLE r ADD COLUMN k int;\nCREATE TABLE seen AS SELECT job_id, next_start - now() AS off "
        "FROM timescaledb_information.jobs;",
    )
    ok(project.apply())
    assert project.one("SELECT off > interval '2 hours 59 minutes' FROM seen WHERE job_id = %s", number)
    assert project.one(START, number) == start
    assert project.query(JOBS) == before
    lines = project.query("SELECT event FROM schema_migrations_journal WHERE event LIKE '%quieted' ORDER BY id")
    assert lines == [("quieted",), ("unquieted",)]


def test_a_job_that_starts_long_after_the_step_is_left_alone(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;")
    ok(project.apply())
    assert project.query("SELECT FROM schema_migrations_journal WHERE event LIKE '%quieted'") == []


def test_a_step_that_fails_puts_the_jobs_back_too(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    number = soon(project, "10 minutes")
    start = project.one(START, number)
    project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;\nSELECT 1/0;")
    assert project.apply().failure is not None
    assert project.one(START, number) == start


def test_what_a_killed_run_has_put_off_is_put_back_by_the_next_one(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    number = soon(project, "10 minutes")
    start = project.one(START, number)
    project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;\nSELECT pg_sleep(30);")
    process = project.start("apply")
    until(lambda: running(project, "pg_sleep"))
    process.kill()
    process.communicate()
    project.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(query, '/* tidelock') "
        "AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert project.one(START, number) - start > HOLD / 2
    project.write("002_k.sql", "CREATE TABLE another (id int);")
    ok(project.apply())
    assert project.one(START, number) == start
    assert any("put back" in text for text in project.heard.texts(Happening.RECOVERED))


def test_an_index_build_deadlocks_with_a_job_that_packs_chunks_when_it_is_simply_sent(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    refused = ""
    with packing(project) as job:
        try:
            project.query(INDEX)
        except psycopg.Error as error:
            refused = error.sqlstate or ""
    assert {refused, job.error} == {"40P01", ""}


@pytest.mark.parametrize("statement", [INDEX, "ALTER TABLE r ADD COLUMN k int;"])
def test_tidelock_waits_for_that_job_and_neither_side_fails(project: Project, statement: str):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    with packing(project) as job:
        project.write("002_k.sql", statement)
        ok(project.apply())
    assert job.error == ""
    assert any("waiting for its end" in text for text in project.heard.texts(Happening.WAITING))


def test_a_job_that_does_not_end_within_the_patience_stops_the_run_before_the_step(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    with packing(project):
        project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;")
        report = project.apply(wait="1s")
    assert report.failure is not None
    assert report.failure.code == "T013"
    assert "User-Defined Action" in report.failure.message


def test_policies_are_held_for_work_that_is_no_step_and_left_alone_where_they_start_later_anyhow(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    number = soon(project, "1 minute")
    start = project.one(START, number)
    with psycopg.connect(project.dsn, autocommit=True) as conn, held(conn, [number]) as policies:
        assert not policies.running()
        assert project.one(START, number) - start > PUT_OFF / 2
    assert project.one(START, number) == start
    number = soon(project, "10 minutes")
    start = project.one(START, number)
    with psycopg.connect(project.dsn, autocommit=True) as conn, held(conn, [number]):
        assert project.one(START, number) == start
    assert project.one(START, number) == start
