"""What a rebuild replaces, what stays as it is, and what it says of it: on a real TimescaleDB."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import TIMESCALE
from tests.postgres.test_apply import ok
from tests.timescale.reader import reading
from tests.timescale.test_rebuild import HUNG, POLICY, RAW, REDO, RETENTION, STATE, hourly

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from tests.rig.project import Project

PRESERVE = '[timescale]\non_recreate = "preserve"\n'
DAYS = 40


def small(text: str) -> str:
    return text.replace("180 days", f"{DAYS} days")


@pytest.fixture
def grown(project: Project) -> Project:
    """40 days in aggregates, 10 of them in raw data."""
    project.write("001_r.sql", small(RAW))
    project.write("002_hourly.sql", hourly() + POLICY + HUNG)
    ok(project.apply())
    project.query(RETENTION.replace("30", "10"))
    return project


def notes(project: Project) -> str:
    return "\n".join(project.heard.texts(Happening.NOTE))


def settings(project: Project, text: str) -> dict[str, Any]:
    return {"config": project.write("tidelock.toml", text)}


def redo(project: Project, text: str, *, name: str = "003_redo.sql", **asked: object) -> str:
    project.write(name, text)
    ok(project.apply(**asked))
    return notes(project)


# What is replaced, and what stays


def test_a_new_column_is_filled_from_the_first_raw_row_on_whatever_the_age(grown: Project):
    grown.query("SELECT add_retention_policy('r', INTERVAL '5 days')")  # has not run: older rows are there
    redo(grown, REDO + hourly(", avg(v) AS mean"))
    first = grown.one("SELECT min(time) FROM r")
    assert grown.query("SELECT count(*) FROM energy_hourly WHERE mean IS NULL AND bucket >= %s", first) == [(0,)]
    assert grown.query("SELECT count(*) FROM energy_hourly WHERE mean IS NOT NULL AND bucket < %s", first) == [(0,)]


LATE = "INSERT INTO r VALUES (date_trunc('day', now()) - INTERVAL '20 days', 1, 7)"
HALF = "DELETE FROM r WHERE time < (SELECT min(time) FROM r) + INTERVAL '30 min'"


@pytest.mark.parametrize("change", [LATE, HALF])
def test_a_bucket_that_raw_data_holds_in_part_keeps_its_row(grown: Project, change: str):
    before = grown.query(STATE)
    grown.query(change)
    said = redo(grown, REDO + hourly(", avg(v) AS mean"))
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(*) FROM energy_hourly WHERE mean IS NULL") == (DAYS - 10) * 24 + (change == HALF)
    assert "left as they are" in said
    redo(
        grown,
        "CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL, force => true);",
        name="004_again.sql",
        **settings(grown, PRESERVE),
    )
    assert grown.query(STATE) == before


def test_a_bucket_that_a_delete_took_a_part_of_keeps_its_rows(grown: Project):
    day = "date_trunc('day', now()) - INTERVAL '3 days'"
    grown.query(f"INSERT INTO r SELECT t, 2, 1 FROM generate_series({day}, {day} + INTERVAL '350 min', '10 min') t")
    grown.query(f"CALL refresh_continuous_aggregate('energy_hourly', {day}, now())")
    before = grown.query(STATE)
    grown.query("DELETE FROM r WHERE device = 2")
    redo(grown, REDO + hourly(", avg(v) AS mean"))
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(*) FROM energy_hourly WHERE mean IS NULL") == (DAYS - 10) * 24 + 12


@pytest.mark.parametrize("width", ["7 hours", "20 minutes", "1 day"])
def test_another_width_counts_nothing_twice_and_leaves_no_gap(grown: Project, width: str):
    grown.query("DROP MATERIALIZED VIEW energy_daily")  # a day is no multiple of 7 hours
    total = grown.one("SELECT sum(total) FROM energy_hourly")
    said = redo(grown, REDO + hourly().replace("'1 hour', time", f"'{width}', time"))
    assert grown.one("SELECT sum(total) FROM energy_hourly") == total
    assert "buckets that raw data cannot fill stay 01:00:00 wide" in said
    grown.query("INSERT INTO r VALUES (now(), 1, 5)")
    for call in ("NULL, NULL", "NULL, NULL, force => true"):
        redo(
            grown,
            f"CALL refresh_continuous_aggregate('energy_hourly', {call});",
            name=f"00{4 + len(call) // 12}_again.sql",
            **settings(grown, PRESERVE),
        )
        assert grown.one("SELECT sum(total) FROM energy_hourly") == total + 5


def test_a_day_becomes_hours_though_its_first_hours_have_no_rows(project: Project):
    project.write("001_r.sql", small(RAW))
    project.query("SELECT 1")
    project.write("002_days.sql", hourly().replace("'1 hour', time", "'1 day', time"))
    ok(project.apply())
    project.query("DELETE FROM r WHERE time < (SELECT min(time) FROM r) + INTERVAL '5 hours'")
    project.query("CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL)")
    total = project.one("SELECT sum(total) FROM energy_hourly")
    redo(project, REDO + hourly())
    assert project.query("SELECT sum(total), count(*) FROM energy_hourly") == [(total, DAYS * 24 + 1 - 5)]


def test_a_day_becomes_hours_where_half_of_the_day_is_gone(project: Project):
    project.write("001_r.sql", small(RAW).replace("INTERVAL '1 day')", "INTERVAL '5 hours')"))
    project.write("002_days.sql", hourly().replace("'1 hour', time", "'1 day', time"))
    ok(project.apply())
    project.query("SELECT drop_chunks('r', now() - INTERVAL '10 days')")
    total = project.one("SELECT sum(total) FROM energy_hourly")
    redo(project, REDO + hourly())
    assert project.one("SELECT sum(total) FROM energy_hourly") == total
    redo(
        project,
        "CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL);",
        name="004_again.sql",
        **settings(project, PRESERVE),
    )
    assert project.one("SELECT sum(total) FROM energy_hourly") == total
    done = project.tidelock("aggregates", "refresh", "energy_hourly")
    assert (done.returncode, project.one("SELECT sum(total) FROM energy_hourly")) == (0, total), done.stderr


def test_values_stay_in_a_wider_type_and_are_null_in_a_narrower_one(project: Project):
    columns = ", max(device) AS top, count(*) AS n, max(v) AS most, max(device::varchar(9)) AS label"
    project.write("001_r.sql", small(RAW))
    project.write("002_hourly.sql", hourly(columns))
    ok(project.apply())
    project.query(RETENTION.replace("30", "10"))
    counted = "SELECT count(*), sum(top), sum(n), sum(most)::bigint, count(label) FROM energy_hourly"
    before = project.query(counted)
    wider = ", max(device)::bigint AS top, count(*)::numeric AS n, max(v)::double precision AS most, max(device::text) AS label"
    said = redo(project, REDO + hourly(wider))
    assert project.query(counted) == before
    assert "kept in a wider type: top (integer before, bigint now)" in said
    said = redo(project, REDO + hourly(wider.replace("bigint AS top", "int AS top")), name="004_redo.sql")
    assert "raw data cannot fill: top (bigint before, integer now)" in said
    assert project.one("SELECT count(*) - count(top) FROM energy_hourly") == (DAYS - 10) * 24


def test_integer_time(project: Project):
    project.write(
        "001_r.sql",
        "CREATE TABLE r (time bigint NOT NULL, device int, v real);\n"
        "SELECT create_hypertable('r', 'time', chunk_time_interval => 100);\n"
        "CREATE FUNCTION r_now() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT coalesce(max(time), 0) FROM r';\n"
        "SELECT set_integer_now_func('r', 'r_now');\n"
        "INSERT INTO r SELECT t, 1, t % 7 FROM generate_series(1, 1000) t;\n",
    )
    tens = hourly().replace("'1 hour'", "bigint '10'")
    project.write("002_tens.sql", tens)
    ok(project.apply())
    project.query("SELECT drop_chunks('r', 500)")
    before = project.query(STATE)
    redo(project, REDO + tens.replace("AS total", "AS total, count(*) AS n"))
    assert project.query(STATE) == before
    assert project.query("SELECT count(*), sum(n), min(bucket) FROM energy_hourly WHERE n IS NOT NULL") == [
        (51, 501, 500)
    ]


# Settings, and how files are written


def test_preserve_keeps_history_through_three_files_that_know_nothing_of_it(grown: Project):
    before = grown.query(STATE)
    for number in (3, 4, 5):
        grown.write(
            f"00{number}_again.sql",
            "DROP MATERIALIZED VIEW IF EXISTS energy_hourly CASCADE;\n" + hourly() + POLICY
            + "CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL);\n",
        )  # fmt: skip
    asked = settings(grown, PRESERVE)
    ok(grown.apply(**asked))
    assert grown.query(STATE) == before
    assert ok(grown.apply(**asked)).applied == ()
    assert grown.query(STATE) == before


def test_a_retention_policy_took_the_raw_data(project: Project):
    project.write("001_r.sql", small(RAW))
    project.write("002_hourly.sql", hourly() + "SELECT add_retention_policy('r', INTERVAL '10 days');\n")
    ok(project.apply())
    project.query("DO $$ DECLARE j int := (SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'); BEGIN CALL run_job(j); END $$")  # fmt: skip
    assert project.one("SELECT min(time) > now() - INTERVAL '12 days' FROM r")
    before = project.query(STATE)
    redo(project, REDO + hourly(", avg(v) AS mean"))
    assert project.query(STATE) == before
    assert project.query("SELECT count(*) FROM energy_hourly WHERE mean IS NULL AND bucket >= (SELECT min(time) FROM r)") == [(0,)]  # fmt: skip


def test_with_data_said_or_not(grown: Project):
    before = grown.query(STATE)
    redo(grown, REDO + hourly(data=" WITH DATA"))
    redo(grown, REDO + hourly(data=" WITH NO DATA"), name="004_redo.sql")
    redo(grown, REDO + hourly(), name="005_redo.sql")
    assert grown.query(STATE) == before


def test_a_plain_materialized_view_above_comes_back_with_its_rows(grown: Project):
    grown.query("CREATE MATERIALIZED VIEW weekly AS SELECT device, count(*) AS n, sum(total) AS total FROM energy_hourly GROUP BY 1")  # fmt: skip
    grown.query("CREATE UNIQUE INDEX weekly_device ON weekly (device)")
    before = grown.query("TABLE weekly")
    said = redo(grown, REDO + hourly())
    assert grown.query("TABLE weekly") == before
    assert "materialized view public.weekly" in said
    assert grown.one("SELECT count(*) FROM pg_indexes WHERE indexname = 'weekly_device'") == 1


def test_refresh_never_leaves_the_old_rows_until_someone_refreshes(grown: Project):
    grown.query("SELECT remove_continuous_aggregate_policy('energy_hourly')")  # it would be the someone
    before = grown.query(STATE)
    redo(grown, REDO + hourly(", avg(v) AS mean"), **settings(grown, '[timescale]\nrefresh = "never"\n'))
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(mean) FROM energy_hourly") == 0
    done = grown.tidelock("aggregates", "refresh", "energy_hourly")
    assert done.returncode == 0, done.stderr
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(mean) FROM energy_hourly") == 241


@pytest.mark.timescale(">= 2.28")
def test_a_column_that_is_added_in_place_is_filled_where_raw_data_is(grown: Project):
    before = grown.query(STATE)
    redo(grown, "ALTER MATERIALIZED VIEW energy_hourly ADD COLUMN most real GENERATED ALWAYS AS (max(v)) STORED;")
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(most) FROM energy_hourly") == 241


# Readers, and others at work


def test_a_reader_of_a_real_time_aggregate_never_sees_fewer_rows(project: Project):
    real = ", timescaledb.materialized_only = false"
    project.write("001_r.sql", small(RAW))
    project.write("002_hourly.sql", hourly(more=real) + HUNG)
    ok(project.apply())
    project.query(RETENTION.replace("30", "10"))
    project.query(
        "INSERT INTO r SELECT date_trunc('day', now()) + t * INTERVAL '1 min', 1, 1 FROM generate_series(61, 200) t"
    )
    before = project.query(STATE)
    project.write("003_redo.sql", REDO + hourly(more=real))
    with reading(project.dsn) as seen:
        report = project.apply()
    ok(report)
    assert (seen.faults, min(seen.rows), project.query(STATE)) == ([], before[0][0], before)
    assert len(seen.rows) > 20


def test_a_lock_on_the_raw_table_is_waited_for_and_the_step_tried_again(grown: Project):
    before, held = grown.query(STATE), threading.Event()

    def hold() -> None:
        with psycopg.connect(grown.dsn) as conn:
            conn.execute("LOCK TABLE r IN ROW EXCLUSIVE MODE")
            held.set()
            time.sleep(6)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    grown.write("003_redo.sql", "-- tidelock: lock-timeout 500ms\n" + REDO + hourly(", avg(v) AS mean"))
    report = grown.apply()
    thread.join()
    ok(report)
    assert grown.query(STATE) == before
    assert grown.heard.texts(Happening.WAITING) or any("lock" in each.text for each in grown.heard.events)


# What is said, and what comes back


def test_policies_keep_their_next_start_and_beat_and_chunks_their_length(grown: Project):
    grown.query("SELECT alter_job(job_id, next_start => '2030-01-02 03:04+00') FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_refresh%'")  # fmt: skip
    grown.query("SELECT set_chunk_time_interval('energy_hourly', INTERVAL '3 days')")
    grown.query("ALTER MATERIALIZED VIEW energy_hourly SET (timescaledb.compress = true, timescaledb.compress_segmentby = 'device', timescaledb.compress_orderby = 'bucket ASC')")  # fmt: skip
    kept = """SELECT next_start, schedule_interval, fixed_schedule, initial_start, j.config - 'mat_hypertable_id'
                FROM timescaledb_information.jobs j WHERE proc_name LIKE 'policy_refresh%'"""
    store = """SELECT segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings s
                JOIN timescaledb_information.continuous_aggregates a ON s.hypertable = format('%I.%I',
                     a.materialization_hypertable_schema, a.materialization_hypertable_name)::regclass
               WHERE view_name = 'energy_hourly'"""
    length = """SELECT d.interval_length FROM _timescaledb_catalog.continuous_agg a
                  JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = a.mat_hypertable_id
                 WHERE a.user_view_name = 'energy_hourly'"""
    before = [grown.query(each) for each in (kept, store, length)]
    redo(grown, REDO + hourly())
    assert [grown.query(each) for each in (kept, store, length)] == before
    assert before[2] == [(3 * 86_400_000_000,)]


def test_the_report_names_rows_span_nulls_what_came_back_and_a_policy_that_erodes(grown: Project):
    said = redo(grown, REDO + hourly(", avg(v) AS mean"))
    assert f"energy_hourly rebuilt: {DAYS * 24 + 1} rows kept (20" in said
    assert "NULL in what raw data cannot fill: mean" in said
    assert "job refresh of public.energy_hourly" in said
    assert "WARNING" not in said
    grown.query("SELECT add_retention_policy('r', INTERVAL '2 days')")
    said = redo(grown, REDO + hourly(), name="004_redo.sql")
    assert "WARNING public.energy_hourly: its refresh (job " in said
    statement = said[said.index("SELECT alter_job") :].partition(";")[0]
    grown.query(statement)
    assert "WARNING" not in redo(grown, REDO + hourly(), name="005_redo.sql")


# Other commands


def test_lint_plan_and_prove_know_such_files(project: Project):
    project.write("001_r.sql", "CREATE EXTENSION IF NOT EXISTS timescaledb;\n" + small(RAW).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS").replace("'1 day')", "'1 day', if_not_exists => true)"))  # fmt: skip
    project.write("002_hourly.sql", hourly().replace("VIEW", "VIEW IF NOT EXISTS", 1))
    project.write("003_redo.sql", "-- BREAKING: another definition\n" + REDO + hourly(", avg(v) AS mean"))
    linted = project.tidelock("lint")
    assert "unknown" not in linted.stdout.lower(), linted.stdout
    assert linted.returncode in (0, 1), linted.stderr
    planned = project.tidelock("plan")
    assert planned.returncode == 0, planned.stderr
    assert "refresh_continuous_aggregate" in planned.stdout
    proved = project.tidelock("prove", "--shadow", make_conninfo(os.environ[TIMESCALE], dbname="postgres"), "--only", "fresh,crash", timeout=400)  # fmt: skip
    assert "003" not in proved.stdout or proved.returncode == 0, proved.stdout + proved.stderr
