"""Each kind of change to TimescaleDB's objects is one difference, which names the object, and whose SQL takes it back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.conftest import TIMESCALE
from tests.rig.requirement import missing
from tests.timescale.test_snapshot import EXAMPLE, RICH, execute, snapshot

from tidelock.core.comparison import difference
from tidelock.core.ddl.mending import mend

if TYPE_CHECKING:
    from tests.rig.project import Project


@dataclass(frozen=True)
class Mutation:
    statement: str
    told: str
    mended: bool = True


def job(change: str, proc: str, name: str) -> str:
    """alter_job, or delete_job, of a policy."""
    return (
        f"SELECT {change} FROM timescaledb_information.jobs WHERE proc_name = '{proc}' AND hypertable_name = '{name}'"
    )


def config(changes: str) -> str:
    return f"alter_job(job_id, config => config || '{changes}')"


MUTATIONS = (
    Mutation("SELECT set_chunk_time_interval('metrics.readings', interval '2 days')", "hypertable metrics.readings changed: dimensions"),
    Mutation("SELECT set_chunk_time_interval('metrics.numbered', 500)", "hypertable metrics.numbered changed: dimensions"),
    Mutation("SELECT set_number_partitions('metrics.spread', 8)", "hypertable metrics.spread changed: dimensions"),
    Mutation("ALTER TABLE metrics.readings SET (timescaledb.compress, timescaledb.compress_segmentby = 'device, value', timescaledb.compress_orderby = 'time DESC')", "hypertable metrics.readings changed: columnstore"),
    Mutation("SELECT remove_compression_policy('metrics.modern'); ALTER TABLE metrics.modern SET (timescaledb.compress = false)", "", mended=False),
    Mutation("ALTER TABLE metrics.spread SET (timescaledb.compress)", "hypertable metrics.spread changed: columnstore"),
    Mutation("CREATE TABLE metrics.more (time timestamptz NOT NULL); SELECT create_hypertable('metrics.more', 'time')", "table metrics.more added"),
    Mutation("DROP TABLE metrics.spread", "table metrics.spread removed"),
    Mutation("DROP TABLE metrics.modern", "table metrics.modern removed"),
    Mutation("ALTER TABLE metrics.readings ADD COLUMN humidity real", "column metrics.readings.humidity added"),
    Mutation("DROP INDEX metrics.readings_value", "index metrics.readings_value removed"),
    Mutation("ALTER MATERIALIZED VIEW metrics.hourly SET (timescaledb.materialized_only = true)", "continuous aggregate metrics.hourly changed: materialized_only"),
    Mutation("SELECT set_chunk_time_interval('metrics.daily', interval '70 days')", "continuous aggregate metrics.daily changed: chunk_interval"),
    Mutation("DROP MATERIALIZED VIEW metrics.local; CREATE MATERIALIZED VIEW metrics.local WITH (timescaledb.continuous, timescaledb.create_group_indexes = false) AS SELECT time_bucket('1 day', time, 'Europe/Madrid') AS day, sum(value) AS total FROM metrics.readings WHERE value > 7 GROUP BY 1 WITH NO DATA", "continuous aggregate metrics.local changed: definition"),
    Mutation("DROP MATERIALIZED VIEW metrics.local", "continuous aggregate metrics.local removed"),
    Mutation("DROP MATERIALIZED VIEW metrics.daily", "continuous aggregate metrics.daily removed"),
    Mutation("ALTER MATERIALIZED VIEW metrics.daily SET (timescaledb.compress = true)", "continuous aggregate metrics.daily changed: columnstore"),
    Mutation("ALTER MATERIALIZED VIEW metrics.local RENAME TO locally", "continuous aggregate metrics.local changed: name"),
    Mutation("CREATE INDEX daily_top ON metrics.daily (top, day)", "index metrics.daily_top added"),
    Mutation("GRANT SELECT ON metrics.daily TO pg_monitor", "grant continuous aggregate metrics.daily to pg_monitor added"),
    Mutation("SELECT remove_retention_policy('metrics.readings')", "job retention of metrics.readings removed"),
    Mutation("SELECT remove_continuous_aggregate_policy('metrics.hourly')", "job refresh of metrics.hourly removed"),
    Mutation("SELECT remove_compression_policy('metrics.readings')", "job columnstore of metrics.readings removed"),
    Mutation("SELECT remove_reorder_policy('metrics.numbered')", "job reorder of metrics.numbered removed"),
    Mutation("SELECT add_retention_policy('metrics.hourly', interval '2 years')", "job retention of metrics.hourly added"),
    Mutation(job(config('{"drop_after": "10 days"}'), "policy_retention", "readings"), "job retention of metrics.readings changed: config"),
    Mutation(job(config('{"start_offset": "9 days"}'), "policy_refresh_continuous_aggregate", "hourly"), "job refresh of metrics.hourly changed: config"),
    Mutation(job(config('{"compress_after": "30 days"}'), "policy_compression", "hourly"), "job columnstore of metrics.hourly changed: config"),
    Mutation(job("alter_job(job_id, schedule_interval => interval '5 hours')", "policy_refresh_continuous_aggregate", "hourly"), "job refresh of metrics.hourly changed: schedule_interval"),
    Mutation(job("alter_job(job_id, scheduled => false)", "policy_retention", "readings"), "job retention of metrics.readings changed: paused"),
    Mutation(job("alter_job(job_id, scheduled => true)", "policy_compression", "readings"), "job columnstore of metrics.readings changed: paused"),
    Mutation(job("alter_job(job_id, max_retries => 3)", "policy_reorder", "numbered"), "job reorder of metrics.numbered changed: max_retries"),
    Mutation("SELECT add_job('metrics.tidy', '3 days', config => '{\"keep\": 99}')", 'job metrics.tidy {"keep": 99} added'),
    Mutation("SELECT alter_job(job_id, config => '{\"keep\": 4}') FROM timescaledb_information.jobs WHERE proc_name = 'tidy' AND config ->> 'keep' = '3'", 'job metrics.tidy {"keep": 3} changed: config, timezone'),  # alter_job forgets a timezone that it is not told
    Mutation("SELECT delete_job(job_id) FROM timescaledb_information.jobs WHERE proc_name = 'tidy' AND config ->> 'keep' = '9'", 'job metrics.tidy {"keep": 9} removed'),
)  # fmt: skip


@pytest.fixture(scope="module")
def rich():
    """A database with everything, made once; each test works in a transaction that is rolled back."""
    server = os.environ.get(TIMESCALE)
    if not server:
        missing("TimescaleDB", f"set {TIMESCALE} to the DSN of a server that has it", package=False)
    name = f"tl_drift_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
            execute(dsn, "CREATE EXTENSION timescaledb;\n" + RICH)
            yield dsn, snapshot(dsn)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("mutation", [each for each in MUTATIONS if each.told], ids=lambda each: each.statement[:80])
def test_one_change_is_one_difference_and_its_sql_takes_it_back(rich, mutation: Mutation):
    from tidelock.postgres.snapshot import take

    dsn, wanted = rich
    with psycopg.connect(dsn, autocommit=True) as conn, conn.transaction(force_rollback=True):
        conn.execute(b"SET LOCAL client_min_messages = error")
        conn.execute(mutation.statement.encode())
        found = take(conn)
        told = difference(wanted, found)
        assert [str(each) for each in told] == [mutation.told]
        if mutation.mended:
            statements = mend(wanted, found, told[0])
            conn.execute(statements.encode())
            assert [str(each) for each in difference(wanted, take(conn))] == [], statements


def test_a_role_without_rights_sees_the_same(rich):
    from tidelock.postgres.snapshot import take

    dsn, wanted = rich
    with psycopg.connect(dsn, autocommit=True) as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE tl_nobody_drift")
        conn.execute("SET LOCAL ROLE tl_nobody_drift")
        assert take(conn).to_json() == wanted.to_json()


def test_the_example_of_telemetry_and_a_shadow_with_timescaledb(project: Project):
    for path in EXAMPLE.glob("*.sql"):
        project.write(path.name, path.read_bytes())
    assert project.apply().failure is None
    shadow = ("--shadow", os.environ[TIMESCALE])
    done = project.tidelock("drift", *shadow)
    assert done.returncode == 0, done.stdout + done.stderr
    project.query("SELECT set_chunk_time_interval('energy_consumption', interval '1 day')")
    [found] = json.loads(project.tidelock("drift", "--json", *shadow).stdout)["differences"]
    assert found["mend"] == (
        "SELECT public.set_chunk_time_interval('public.energy_consumption', INTERVAL '7 days', dimension_name => 'time');"
    )
    lacking = project.tidelock("drift")
    assert (lacking.returncode, "D030" in lacking.stderr) == (5, True)
    assert project.query("SELECT count(*) FROM pg_database WHERE datname LIKE 'tidelock_shadow_%'") is not None


def test_a_file_without_a_search_path_whose_aggregate_is_filled_later(project: Project):
    project.write(
        "001_all.sql",
        "CREATE EXTENSION IF NOT EXISTS timescaledb;\nSET search_path = '';\n"
        "CREATE TABLE IF NOT EXISTS public.w2 (ts timestamptz NOT NULL, x int);\n"
        "SELECT public.create_hypertable('public.w2', 'ts', if_not_exists => true);\n"
        "CREATE MATERIALIZED VIEW public.h1 WITH (timescaledb.continuous) AS\n"
        "SELECT public.time_bucket('1 hour', ts) b, count(*) c FROM public.w2 GROUP BY 1 WITH NO DATA;\n",
    )
    project.write(
        "002_more.sql",
        "SET search_path = '';\nCREATE MATERIALIZED VIEW IF NOT EXISTS public.h2 WITH (timescaledb.continuous) AS\n"
        "SELECT public.time_bucket('1 day', ts) b, count(*) c FROM public.w2 GROUP BY 1 WITH DATA;\n",
    )
    assert project.apply().failure is None
    for verb in ("drift", "prove"):
        done = project.tidelock(verb, "--shadow", os.environ[TIMESCALE])
        assert "does not exist" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert "2 of 2 apply to an empty database" in done.stdout
    assert "2 of 2 end the same after being cut off" in done.stdout, done.stdout


def test_an_adopted_database_begins_with_its_schema_as_it_was(project: Project, timescale_dsn: str):
    execute(timescale_dsn, RICH)
    project.write("001_all.sql", "SELECT 1;")
    project.write("002_more.sql", "ALTER TABLE metrics.readings ADD COLUMN humidity real;")
    done = project.tidelock("adopt", "--up-to", "1", "--yes")
    assert done.returncode == 0, done.stderr
    assert project.apply().failure is None
    shadow = ("--shadow", os.environ[TIMESCALE])
    assert project.tidelock("drift", *shadow).returncode == 0
    project.query("SELECT remove_retention_policy('metrics.readings')")
    [found] = json.loads(project.tidelock("drift", "--json", *shadow).stdout)["differences"]
    assert (found["kind"], found["name"]) == ("job", "retention of metrics.readings")
    project.query(found["mend"])
    assert project.tidelock("drift", *shadow).returncode == 0
