"""What no transaction may hold on TimescaleDB, and what is made of it when it was cut off: on a real one."""

from __future__ import annotations

import time

import psycopg
from tests.postgres.test_apply import ok
from tests.postgres.test_interruption import running, until
from tests.rig.project import Project

from tidelock.core.report import Happening

TABLE = """
CREATE TABLE r (time timestamptz NOT NULL, device int, v double precision);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO r SELECT t, d, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-01-10', '1 hour') t, generate_series(1, 20) d;
"""
AGGREGATE = """
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v FROM r GROUP BY 1, 2;
"""

REFRESHING = """
SELECT {} FROM pg_stat_activity
 WHERE state = 'active' AND strpos(query, 'refresh_continuous_aggregate') > 0 AND pid <> pg_backend_pid()
   AND datname = current_database()"""


def test_hypertables_aggregates_and_policies_are_applied_in_order(project: Project):
    project.write("001_r.sql", TABLE)
    project.write(
        "002_hourly.sql",
        AGGREGATE + "SELECT add_continuous_aggregate_policy('hourly', start_offset => INTERVAL '3 days', "
        "end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '1 hour');\nCALL refresh_continuous_aggregate('hourly', NULL, NULL);",
    )
    project.write(
        "003_index.sql", "CREATE INDEX r_device ON r (device, time) WITH (timescaledb.transaction_per_chunk);"
    )
    report = ok(project.apply())
    assert [each.alone for each in report.applied] == [False, True, True]
    assert project.one("SELECT count(*) FROM hourly") == 217 * 20
    assert ok(project.apply()).applied == ()


def test_silent_no_ops_are_told(project: Project):
    project.write("001_r.sql", TABLE)
    project.write(
        "002_again.sql",
        "SELECT create_hypertable('r', 'time', if_not_exists => true, chunk_time_interval => INTERVAL '30 days');",
    )
    ok(project.apply())
    assert any("already a hypertable" in text for text in project.heard.texts(Happening.NOTICE))


def test_the_journal_of_a_database_without_aggregates_is_not_needed(project: Project):
    project.write("001_r.sql", "-- tidelock: requires timescaledb >= 2.14\n" + TABLE)
    ok(project.apply())


def test_an_index_per_chunk_that_was_cut_off_is_dropped_and_built_again(project: Project):
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    project.write(
        "002_index.sql",
        "CREATE INDEX IF NOT EXISTS r_device ON r (device, time) WITH (timescaledb.transaction_per_chunk);",
    )
    with psycopg.connect(project.dsn) as holder:
        chunk = project.one(
            "SELECT format('%%I.%%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks WHERE hypertable_name = 'r' ORDER BY range_start OFFSET 6 LIMIT 1".replace(
                "%%", "%"
            )
        )
        holder.execute(f"INSERT INTO {chunk} VALUES ('2026-01-07 12:00', 99, 1)")
        process = project.start("apply")
        until(lambda: running(project, "transaction_per_chunk"))
        time.sleep(1)
        process.kill()
        process.communicate()
        project.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE strpos(query, 'transaction_per_chunk') > 0 AND pid <> pg_backend_pid()"
        )
    until(
        lambda: (
            project.one(
                "SELECT count(*) FROM pg_stat_activity WHERE strpos(query, 'transaction_per_chunk') > 0 AND pid <> pg_backend_pid()"
            )
            == 0
        )
    )
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'r_device'::regclass") is False
    ok(project.apply())
    assert project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'r_device'::regclass") is True
    assert project.one("SELECT count(*) FROM pg_indexes WHERE indexname LIKE '%r_device'") == project.one(
        "SELECT count(*) + 1 FROM timescaledb_information.chunks WHERE hypertable_name = 'r'"
    )


def test_an_aggregate_that_was_made_and_not_filled_is_filled(project: Project):
    project.write(
        "001_r.sql",
        TABLE
        + "INSERT INTO r SELECT t, d, 1 FROM generate_series('2026-02-01'::timestamptz, '2026-02-10', '10 seconds') t, generate_series(1, 20) d;",
    )
    ok(project.apply())
    project.write("002_hourly.sql", AGGREGATE + "CREATE TABLE after (id int);")
    process = project.start("apply")
    until(
        lambda: bool(
            project.query("SELECT 1 FROM timescaledb_information.continuous_aggregates WHERE view_name = 'hourly'")
        )
    )
    process.kill()
    process.communicate()
    project.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(query, '/* tidelock') AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    ok(project.apply())
    assert project.one("SELECT sum(v) FROM hourly") == project.one("SELECT sum(v) FROM r")
    assert project.versions() == [1, 2]


def test_a_refresh_that_was_cut_off_runs_again(project: Project):
    project.write(
        "001_r.sql",
        TABLE,
    )
    project.write("002_hourly.sql", AGGREGATE.rstrip().rstrip(";") + " WITH NO DATA;")
    ok(project.apply())  # fills what there is of it
    project.query(
        "INSERT INTO r SELECT t, d, 1 FROM generate_series('2026-02-01'::timestamptz, '2026-02-10', '10 seconds') t, generate_series(1, 20) d;"
    )
    project.write("003_refresh.sql", "CALL refresh_continuous_aggregate('hourly', NULL, NULL);")
    process = project.start("apply")
    until(lambda: bool(project.query(REFRESHING.format("pid"))))
    process.kill()
    process.communicate()
    project.query(REFRESHING.format("pg_terminate_backend(pid)"))
    ok(project.apply())
    assert project.one("SELECT sum(v) FROM hourly") == project.one("SELECT sum(v) FROM r")


def test_a_policy_in_a_file_of_single_statements_is_not_added_twice(project: Project):
    project.write("001_r.sql", TABLE)
    project.write(
        "002_policy.sql",
        "-- tidelock: no-transaction\nSELECT add_retention_policy('r', INTERVAL '400 days');\nSELECT 1/0;",
    )
    assert project.apply().failure is not None
    project.write(
        "002_policy.sql",
        "-- tidelock: no-transaction\nSELECT add_retention_policy('r', INTERVAL '400 days');\nSELECT 1;",
    )
    ok(project.apply())
    assert project.one("SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'") == 1


def test_the_extension_is_updated_as_the_first_command_of_a_session(project: Project):
    project.write("001_r.sql", TABLE)
    project.write(
        "002_update.sql", "SELECT count(*) FROM r;\nALTER EXTENSION timescaledb UPDATE;\nCREATE TABLE after (id int);"
    )
    ok(project.apply())
    assert any("already installed" in text for text in project.heard.texts(Happening.NOTICE))
