"""A refresh fills what the raw data can give, and erases nothing; a CALL of a file goes through the same care."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.postgres.test_apply import ok

from tidelock.core.report import Happening

if TYPE_CHECKING:
    import subprocess

    from tests.rig.project import Project

RAW = """
CREATE TABLE energy (time {kind} NOT NULL, device int NOT NULL, power double precision);
SELECT create_hypertable('energy', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO energy SELECT t, d, d + extract(hour FROM t)
  FROM generate_series(date_trunc('day', now()) - INTERVAL '{days} days', now(), INTERVAL '10 minutes') t, generate_series(1, 3) d;
"""
HOURLY = """
CREATE MATERIALIZED VIEW {name} WITH (timescaledb.continuous, timescaledb.materialized_only = {only}) AS
SELECT time_bucket({bucket}, time) AS bucket, device, sum(power) AS power, count(*) AS n FROM energy GROUP BY 1, 2
WITH NO DATA;
"""
STATE = (
    "SELECT count(*), coalesce(sum(power), 0)::bigint, coalesce(sum(n), 0)::bigint, min(bucket), max(bucket) FROM {}"
)
MATERIALIZED = "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) FROM timescaledb_information.continuous_aggregates WHERE view_name = '{}'"
WATERMARK = "SELECT _timescaledb_functions.cagg_watermark(mat_hypertable_id) FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = '{}'"
CALL = "CALL refresh_continuous_aggregate('{}', NULL, NULL)"


def run(project: Project, *statements: str) -> None:
    for each in statements:
        for one in re.split(r";\s*\n", each):
            if one.strip():
                project.query(one)


def raw(project: Project, *, days: int = 12, kind: str = "timestamptz") -> None:
    run(project, RAW.format(days=days, kind=kind))


def hourly(project: Project, name: str = "hourly", *, bucket: str = "'1 hour'", only: bool = True) -> None:
    run(project, HOURLY.format(name=name, bucket=bucket, only=str(only).lower()))


def state(project: Project, name: str) -> tuple[Any, ...]:
    """What was materialized."""
    return project.query(STATE.format(project.one(MATERIALIZED.format(name))))[0]


def expire(project: Project, days: int, table: str = "energy") -> None:
    project.query(f"SELECT drop_chunks('{table}', INTERVAL '{days} days')")


def migrate(project: Project, call: str, *, header: str = "") -> Any:
    """With history preserved, a refresh leaves it out; without, it is refused (test_guard)."""
    settings = project.folder.parent / "tidelock.toml"
    settings.write_text('[timescale]\non_recreate = "preserve"\n')
    number = len(list(project.folder.iterdir())) + 1
    project.write(f"{number:03}_refresh.sql", f"{header}{call};\n")
    return ok(project.apply(config=settings))


def refreshed(project: Project, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = project.tidelock("aggregates", "refresh", *arguments)
    assert done.returncode == code, done.stderr
    return done


# The same as the server's own refresh, where nothing is lost


BUCKETS = {
    "hours": "'1 hour'",
    "days": "'1 day'",
    "months": "'1 month'",
    "a time zone": "'1 day', time, 'America/New_York'",
    "an origin": "'7 hours', time, origin => '2020-01-01 03:30+00'::timestamptz",
    "an offset": "'1 day', time, \"offset\" => INTERVAL '5 hours'",
}


@pytest.mark.parametrize("only", [True, False], ids=["materialized only", "real time"])
@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS.keys())
def test_a_healthy_aggregate_is_as_after_one_call(project: Project, bucket: str, *, only: bool):
    raw(project, days=70 if "month" in bucket else 9)
    bucket = bucket if ", time" in bucket else f"{bucket}, time"
    for name in ("ours", "theirs"):
        run(project, HOURLY.replace("time_bucket({bucket}, time)", "time_bucket({bucket})").format(name=name, bucket=bucket, only=str(only).lower()))  # fmt: skip
    migrate(project, CALL.format("ours"))
    project.query(CALL.format("theirs"))
    assert state(project, "ours") == state(project, "theirs")
    assert state(project, "ours")[0] > 0
    assert project.one(WATERMARK.format("ours")) == project.one(WATERMARK.format("theirs"))
    late = "INSERT INTO energy VALUES (date_trunc('hour', now()) - INTERVAL '{}', 9, 7)"
    run(project, *(late.format(ago) for ago in ("1 hour", "5 days", "9 days")))
    migrate(project, CALL.format("ours"))
    project.query(CALL.format("theirs"))
    assert state(project, "ours") == state(project, "theirs")


def test_dates_plain_timestamps_and_integers_have_windows_too(project: Project):
    for kind, width in (("date", "1 day"), ("timestamp", "1 hour")):
        table = f"t_{kind}"
        run(
            project,
            f"CREATE TABLE {table} (time {kind} NOT NULL, v int)",
            f"SELECT create_hypertable('{table}', 'time', chunk_time_interval => INTERVAL '3 days')",
            f"INSERT INTO {table} SELECT t, 1 FROM generate_series('2026-01-01'::timestamp, '2026-02-01', '2 hours') t",
            f"CREATE MATERIALIZED VIEW a_{kind} WITH (timescaledb.continuous) AS SELECT time_bucket('{width}', time) AS bucket, sum(v) AS power, count(*) AS n FROM {table} GROUP BY 1 WITH NO DATA",
        )
    run(
        project,
        "CREATE TABLE t_int (time bigint NOT NULL, v int)",
        "SELECT create_hypertable('t_int', 'time', chunk_time_interval => 1000)",
        "CREATE FUNCTION t_now() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT coalesce(max(time), 0) FROM t_int'",
        "SELECT set_integer_now_func('t_int', 't_now')",
        "INSERT INTO t_int SELECT t, 1 FROM generate_series(-3000, 9990) t",
        "CREATE MATERIALIZED VIEW a_int WITH (timescaledb.continuous) AS SELECT time_bucket(bigint '10', time) AS bucket, sum(v) AS power, count(*) AS n FROM t_int GROUP BY 1 WITH NO DATA",
    )
    for name, rows in (("a_date", 32), ("a_timestamp", 373), ("a_int", 1300)):
        migrate(project, CALL.format(name))
        assert state(project, name)[0] == rows, name


def test_what_the_raw_data_no_longer_gives_is_left_as_it_is(project: Project):
    raw(project, days=30)
    hourly(project)
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    expire(project, 10)
    project.query("DELETE FROM energy WHERE time >= current_date - 5 AND time < current_date - 4")
    project.query("UPDATE energy SET power = power + 1 WHERE time >= date_trunc('hour', now()) - INTERVAL '2 hours'")
    changed = project.one("SELECT count(*) FROM energy WHERE time >= date_trunc('hour', now()) - INTERVAL '2 hours'")
    report = migrate(project, CALL.format("hourly"))
    assert report
    after = state(project, "hourly")
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert after[1] == before[1] + changed
    assert any("left as they are" in text for text in project.heard.texts(Happening.NOTE))
    project.query(CALL.format("hourly"))
    assert state(project, "hourly")[0] < before[0]  # the control: what the server's own does


def test_a_late_row_of_an_expired_day_does_not_replace_its_bucket(project: Project):
    raw(project, days=30)
    hourly(project)
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    expire(project, 10)
    project.query("INSERT INTO energy VALUES (date_trunc('hour', now()) - INTERVAL '20 days', 1, 7)")
    migrate(project, CALL.format("hourly"))
    assert state(project, "hourly") == before


LESS = {
    "all rows of a device": "DELETE FROM energy WHERE device = 2 AND {day}",
    "some rows of a device": "DELETE FROM energy WHERE device = 2 AND extract(minute FROM time) > 20 AND {day}",
}


@pytest.mark.parametrize("delete", LESS.values(), ids=LESS.keys())
def test_buckets_that_a_delete_took_a_part_of_are_left_as_they_are_and_the_rest_is_taken_up(
    project: Project, delete: str
):
    raw(project)
    hourly(project)
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    project.query(delete.format(day="time >= current_date - 5 AND time < current_date - 4"))
    late = "INSERT INTO energy VALUES (date_trunc('hour', now()) - INTERVAL '{}', 9, 7)"
    run(project, late.format("2 hours"), late.format("9 days"))
    project.query(
        "UPDATE energy SET power = power + 1 WHERE device = 1 AND time >= current_date - 3 AND time < current_date - 2"
    )
    [aggregate] = json.loads(project.tidelock("aggregates", "list", "--json").stdout)["aggregates"]
    assert aggregate["only_here"]["buckets"] == 24
    done = refreshed(project, "hourly")
    assert "24 buckets" in done.stdout + done.stderr
    after = state(project, "hourly")
    assert after[0] == before[0] + 2
    assert after[1] == before[1] + 14 + 24 * 6
    refreshed(project, "hourly")
    assert state(project, "hourly") == after
    project.query(CALL.format("hourly"))
    assert state(project, "hourly")[2] < after[2]  # the control: what the server's own does


def test_a_delete_of_a_migration_does_not_erase_by_the_refresh_after_it(project: Project):
    raw(project)
    hourly(project)
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    project.write("001_less.sql", f"DELETE FROM energy WHERE device = 2;\n{CALL.format('hourly')};")
    report = ok(project.apply())
    assert report
    assert state(project, "hourly") == before
    project.write("002_drop.sql", "DROP MATERIALIZED VIEW hourly;")
    failure = project.apply().failure
    assert failure is not None
    assert (failure.code, "exist nowhere else" in failure.message) == ("L042", True)


def test_fewer_rows_by_an_update_are_no_loss_where_the_definition_filters(project: Project):
    raw(project)
    run(
        project,
        HOURLY.replace("FROM energy", "FROM energy WHERE power > 0").format(
            name="hourly", bucket="'1 hour'", only="true"
        ),
    )
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    project.query(
        "UPDATE energy SET power = -1 WHERE device = 2 AND time >= current_date - 5 AND time < current_date - 4"
    )
    refreshed(project, "hourly")
    assert state(project, "hourly")[0] == before[0] - 24


def test_accept_loss_lets_the_call_run_as_it_stands(project: Project):
    raw(project, days=30)
    hourly(project)
    project.query(CALL.format("hourly"))
    expire(project, 10)
    before = state(project, "hourly")
    migrate(project, CALL.format("hourly"), header="-- tidelock: accept-loss hourly: a test\n")
    assert state(project, "hourly")[0] < before[0]


@pytest.mark.parametrize(
    "call",
    [
        "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '3 days', now())",
        "CALL public.refresh_continuous_aggregate(continuous_aggregate => 'public.hourly', window_start => now() - INTERVAL '3 days', window_end => NULL)",
        "CALL refresh_continuous_aggregate('hourly', INTERVAL '3 days', NULL::timestamptz, force => true)",
        pytest.param(
            "CALL refresh_continuous_aggregate('hourly'::regclass, current_date - 3, /* all, */ 'infinity', options => '{\"buckets_per_batch\": 5}')",
            marks=pytest.mark.timescale(">= 2.21"),
        ),
    ],
)
def test_a_call_is_read_whatever_its_arguments(project: Project, call: str):
    raw(project)
    hourly(project)
    migrate(project, call)
    rows = state(project, "hourly")
    assert 3 * 24 * 2 <= rows[0] <= 5 * 24 * 3
    assert any("refreshed" in text for text in project.heard.texts(Happening.NOTE))


def test_a_call_of_nothing_fails_with_the_servers_words(project: Project):
    project.write("001_refresh.sql", CALL.format("nothing") + ";")
    report = project.apply()
    assert report.failure is not None
    assert "nothing" in report.failure.message + report.failure.detail


def test_an_aggregate_above_another_is_filled_with_it(project: Project):
    raw(project)
    hourly(project)
    run(
        project,
        "CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', bucket) AS bucket, device, sum(power) AS power, sum(n) AS n FROM hourly GROUP BY 1, 2 WITH NO DATA",
    )
    migrate(project, CALL.format("daily"))
    assert state(project, "hourly")[2] == state(project, "daily")[2] == project.one("SELECT count(*) FROM energy")


# Others at work


@pytest.fixture
def large(project: Project) -> Project:
    """An aggregate that takes a while: a window of 60 days with 864,000 rows."""
    run(
        project,
        RAW.format(days=60, kind="timestamptz")
        .replace("'10 minutes'", "'1 minute'")
        .replace("generate_series(1, 3)", "generate_series(1, 10)"),
    )
    hourly(project)
    return project


KILLS = int(os.environ.get("TIDELOCK_TEST_KILLS", "6"))


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(large: Project):
    wanted = large.query("SELECT count(*), count(DISTINCT time_bucket('1 hour', time)) * 10 FROM energy")[0]
    total = large.one("SELECT sum(power)::bigint FROM energy")
    for number in range(KILLS):
        large.write(f"{number + 1:03}_refresh.sql", CALL.format("hourly").replace(")", ", force => true);"))
        process = large.start("apply")
        time.sleep(random.uniform(0.2, 1.6))
        process.kill()
        process.communicate()
        ok(large.apply())
        found = state(large, "hourly")
        assert (found[2], found[0], found[1]) == (*wanted, total)


def test_a_second_refresh_of_the_same_range_and_a_policy_disturb_neither(large: Project):
    large.query(
        "SELECT add_continuous_aggregate_policy('hourly', INTERVAL '20 days', INTERVAL '1 hour', INTERVAL '1 hour')"
    )
    failed: list[str] = []

    def other() -> None:
        with closing(psycopg.connect(large.dsn, autocommit=True)) as conn:
            for _ in range(20):
                try:
                    conn.execute(
                        "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '30 days', now() - INTERVAL '20 days', force => true)"
                    )
                except psycopg.errors.LockNotAvailable as error:
                    failed.append(str(error))
                time.sleep(0.05)

    thread = threading.Thread(target=other)
    thread.start()
    migrate(large, CALL.format("hourly"))
    thread.join()
    assert state(large, "hourly")[2] == large.one("SELECT count(*) FROM energy")
    stats = large.query(
        "SELECT total_failures, (SELECT string_agg(err_message, $$;$$) FROM timescaledb_information.job_errors) FROM timescaledb_information.job_stats s JOIN timescaledb_information.jobs j USING (job_id) WHERE j.hypertable_name = 'hourly'"
    )
    assert not stats or stats[0][0] == 0


def test_the_refresh_policy_starts_when_it_would_have(project: Project):
    raw(project)
    hourly(project)
    job = project.one("SELECT add_continuous_aggregate_policy('hourly', INTERVAL '2 days', INTERVAL '1 hour', INTERVAL '1 hour', initial_start => now() + INTERVAL '40 minutes', timezone => 'Europe/Madrid')")  # fmt: skip
    look = f"SELECT next_start, timezone, scheduled FROM timescaledb_information.jobs j JOIN _timescaledb_config.bgw_job b ON b.id = j.job_id WHERE job_id = {job}".replace(
        "scheduled FROM", "b.scheduled FROM"
    )
    before = project.query(look)
    migrate(project, CALL.format("hourly"))
    assert project.query(look) == before


def test_retention_that_runs_meanwhile_takes_nothing_from_the_aggregate(large: Project):
    large.query("CALL refresh_continuous_aggregate('hourly', NULL, NULL)")
    before = state(large, "hourly")
    large.query("UPDATE energy SET power = power")
    stop = threading.Event()

    def retention() -> None:
        with closing(psycopg.connect(large.dsn, autocommit=True)) as conn:
            for days in range(55, 15, -5):
                conn.execute(f"SELECT drop_chunks('energy', INTERVAL '{days} days')".encode())
                if stop.wait(0.1):
                    return

    thread = threading.Thread(target=retention)
    thread.start()
    migrate(large, CALL.format("hourly"))
    stop.set()
    thread.join()
    migrate(large, CALL.format("hourly") + " ")
    assert state(large, "hourly") == before


def test_an_owner_who_is_no_superuser_refreshes_his_own(project: Project):
    raw(project)
    hourly(project)
    project.query("DROP ROLE IF EXISTS tl_refresh_owner")
    project.query("CREATE ROLE tl_refresh_owner LOGIN")
    run(
        project,
        "GRANT CREATE, USAGE ON SCHEMA public TO tl_refresh_owner",
        "ALTER TABLE energy OWNER TO tl_refresh_owner",
        "ALTER MATERIALIZED VIEW hourly OWNER TO tl_refresh_owner",
    )
    admin, project.dsn = project.dsn, make_conninfo(project.dsn, user="tl_refresh_owner")
    try:
        migrate(project, CALL.format("hourly"))
        assert state(project, "hourly")[2] == project.one("SELECT count(*) FROM energy")
    finally:
        project.dsn = admin
        project.query("DROP OWNED BY tl_refresh_owner CASCADE")
        project.query("DROP ROLE tl_refresh_owner")


# By hand


def test_by_hand_it_fills_and_says_what_it_did(project: Project):
    raw(project)
    hourly(project)
    done = refreshed(project, "hourly")
    assert re.search(r"hourly refreshed: .* in \d+ windows?, ", done.stdout)
    assert state(project, "hourly")[2] == project.one("SELECT count(*) FROM energy")


def test_by_hand_from_and_to_are_narrowed_to_whole_buckets(project: Project):
    raw(project)
    hourly(project)
    day = project.one("SELECT to_char(current_date - 3, 'YYYY-MM-DD')")
    after = project.one("SELECT to_char(current_date - 2, 'YYYY-MM-DD')")
    refreshed(project, "hourly", "--from", f"{day}T00:10", "--to", f"{after}T00:10")
    assert state(project, "hourly")[0] == 23 * 3


def test_by_hand_history_is_left_and_the_journal_has_the_windows(project: Project):
    raw(project, days=30)
    hourly(project)
    project.write("001_a.sql", "SELECT 1;")
    ok(project.apply())
    project.query(CALL.format("hourly"))
    before = state(project, "hourly")
    expire(project, 10)
    done = refreshed(project, "hourly", "--json")

    [told] = json.loads(done.stdout)["refreshed"]
    assert told["kept_buckets"] > 400
    assert state(project, "hourly") == before
    assert project.one("SELECT count(*) FROM schema_migrations_journal WHERE event = 'refreshed'") == told["windows"]


def test_by_hand_a_name_that_is_none_names_the_nearest(project: Project):
    hourly_ = refreshed
    raw(project)
    hourly(project)
    assert "did you mean hourly?" in hourly_(project, "hourli", code=2).stderr.lower()
    assert "U031" in hourly_(project, "hourly", "--from", "yesterdayish", code=2).stderr
    backwards = ("hourly", "--from", "2026-11-29", "--to", "2026-11-20")
    assert "U032 --from 2026-11-29 is not before --to 2026-11-20" in hourly_(project, *backwards, code=2).stderr


def test_by_hand_a_signal_stops_it_at_a_window_and_the_next_run_goes_on(large: Project):
    process = large.start("aggregates", "refresh", "hourly", "--max-lock-wait", "50ms")
    deadline = time.monotonic() + 20
    while not state(large, "hourly")[0] and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 75, told
    assert "T017" in told
    assert "left:" in told
    refreshed(large, "hourly")
    assert state(large, "hourly")[2] == large.one("SELECT count(*) FROM energy")
