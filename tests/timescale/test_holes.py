"""A bucket that dropped rows cut is kept, whatever came late; one whose source merely rested is computed anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.postgres.test_apply import ok
from tests.timescale.test_refresh import CALL, refreshed, run

if TYPE_CHECKING:
    from tests.rig.project import Project

RAW = """
CREATE TABLE r (at timestamptz NOT NULL, v int);
SELECT create_hypertable('r', 'at', chunk_time_interval => INTERVAL '1 day');
INSERT INTO r SELECT t, 1 FROM generate_series('2026-01-05'::timestamptz, '2026-03-29 23:30', '30 minutes') t;
"""
SUMS = "CREATE MATERIALIZED VIEW a WITH (timescaledb.continuous) AS SELECT {} AS bucket, sum(v) AS v{} FROM {} GROUP BY 1 WITH NO DATA"
STORED = "SELECT bucket, v FROM a ORDER BY 1"
DROP = "SELECT drop_chunks('r', older_than => '2026-02-25'::timestamptz)"
LATE = "INSERT INTO r VALUES ('{}', 1000)"
BUCKETS = {
    "weeks": "time_bucket('7 days', at)",
    "months": "time_bucket('1 month', at)",
    "days of a time zone": "time_bucket('1 day', at, 'Europe/Berlin')",
    "an origin": "time_bucket('7 hours', at, origin => '2020-01-01 03:30+00'::timestamptz)",
    "an offset": "time_bucket('1 day', at, \"offset\" => INTERVAL '5 hours')",
}
LATER = {
    "further back": ["2026-01-30 05:00"],
    "in neighbouring days": ["2026-02-22 05:00", "2026-02-23 05:00", "2026-02-24 05:00"],
    "in both": ["2026-01-30 05:00", "2026-02-24 05:00"],
}


def aggregate(project: Project, bucket: str, *, more: str = "", source: str = "r") -> None:
    run(project, SUMS.format(bucket, more, source), CALL.format("a"))


def only_here(project: Project) -> int:
    done = project.tidelock("aggregates", "list", "--json")
    [found] = [each for each in json.loads(done.stdout)["aggregates"] if each["name"] == "public.a"]
    return found["only_here"]["buckets"] if found["only_here"] else 0


def cut(project: Project, bucket: str, late: list[str]) -> list[Any]:
    """An aggregate, the middle of one of its buckets where chunks now begin, and rows that came late before it."""
    run(project, RAW)
    aggregate(project, bucket)
    run(project, DROP, *map(LATE.format, late))
    return project.query(STORED)


def before_the_drop(project: Project) -> int:
    return int(project.one("SELECT count(*) FROM a WHERE bucket < '2026-02-25'"))


@pytest.mark.parametrize("late", LATER.values(), ids=LATER.keys())
@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS.keys())
def test_a_late_row_does_not_make_what_lies_behind_it_look_whole(project: Project, bucket: str, late: list[str]):
    kept = cut(project, bucket, late)
    assert only_here(project) == before_the_drop(project)
    done = refreshed(project, "a")
    assert project.query(STORED) == kept
    assert f"{before_the_drop(project)} buckets" in done.stdout + done.stderr
    refreshed(project, "a")
    assert project.query(STORED) == kept
    project.query(CALL.format("a"))
    assert project.query(STORED) != kept  # the control: what the server's own does


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS.keys())
def test_a_rebuild_keeps_a_cut_bucket_too(project: Project, bucket: str):
    kept = cut(project, bucket, LATER["further back"])
    made = SUMS.format(bucket, ", max(v) AS most", "r")
    project.write("001_a.sql", f"-- tidelock: rebuild a\nDROP MATERIALIZED VIEW a;\n{made};\n")
    ok(project.apply())
    assert project.query(STORED) == kept
    assert project.one("SELECT count(*) FROM a WHERE most IS NULL") == before_the_drop(project)
    refreshed(project, "a")
    assert project.query(STORED) == kept


def test_what_retention_cuts_between_a_rebuild_and_its_refresh_is_kept(project: Project):
    run(project, RAW)
    aggregate(project, BUCKETS["weeks"])
    settings = project.folder.parent / "tidelock.toml"
    settings.write_text('[timescale]\nrefresh = "never"\n')
    made = SUMS.format(BUCKETS["weeks"], ", max(v) AS most", "r")
    project.write("001_a.sql", f"-- tidelock: rebuild a\nDROP MATERIALIZED VIEW a;\n{made};\n")
    ok(project.apply(config=settings))
    run(project, DROP, *map(LATE.format, LATER["further back"]))
    kept = project.query(STORED)
    refreshed(project, "a")
    assert project.query(STORED) == kept
    assert project.one("SELECT count(*) FROM a WHERE most IS NULL") == before_the_drop(project)


@pytest.mark.timescale(">= 2.28")
def test_a_new_column_is_not_filled_where_it_would_cut_the_others(project: Project):
    kept = cut(project, BUCKETS["weeks"], LATER["further back"])
    project.write("001_a.sql", "ALTER MATERIALIZED VIEW a ADD COLUMN most int GENERATED ALWAYS AS (max(v)) STORED;\n")
    ok(project.apply())
    assert project.query(STORED) == kept
    assert project.one("SELECT count(*) FROM a WHERE most IS NULL") == before_the_drop(project)


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS.keys())
def test_the_guard_counts_a_cut_bucket(project: Project, bucket: str):
    cut(project, bucket, LATER["further back"])
    project.write("001_a.sql", "DROP MATERIALIZED VIEW a;\n")
    failure = project.apply().failure
    assert failure is not None
    assert f"{before_the_drop(project)} buckets" in failure.message


def test_a_cut_bucket_of_numbers_is_kept(project: Project):
    run(
        project,
        "CREATE TABLE r (at bigint NOT NULL, v int)",
        "SELECT create_hypertable('r', 'at', chunk_time_interval => 1000)",
        "CREATE FUNCTION r_now() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT coalesce(max(at), 0) FROM r'",
        "SELECT set_integer_now_func('r', 'r_now')",
        "INSERT INTO r SELECT t, 1 FROM generate_series(0, 29999) t",
    )
    aggregate(project, "time_bucket(bigint '2500', at)")
    run(project, "SELECT drop_chunks('r', older_than => 16000)", "INSERT INTO r VALUES (3100, 1000)")
    kept = project.query(STORED)
    assert only_here(project) == 7
    refreshed(project, "a")
    assert project.query(STORED) == kept


def test_a_cut_bucket_above_another_aggregate_is_kept(project: Project):
    run(
        project,
        RAW,
        "CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', at) AS at, sum(v) AS v FROM r GROUP BY 1 WITH NO DATA",
        CALL.format("daily"),
    )
    aggregate(project, BUCKETS["weeks"], source="daily")
    run(
        project,
        "SELECT drop_chunks('daily', older_than => '2026-02-25'::timestamptz)",
        LATE.format("2026-01-12 05:00"),
        "CALL refresh_continuous_aggregate('daily', '2026-01-12', '2026-01-13')",
    )
    kept = project.query(STORED)
    counted = only_here(project)
    first = project.one("SELECT min(at) FROM daily WHERE at > '2026-02-01'")
    assert counted == project.one("SELECT count(*) FROM a WHERE bucket < %s", first)
    refreshed(project, "a")
    assert project.query(STORED) == kept


def test_retention_and_a_late_row_in_each_day_before_it_leave_all_as_it_is(project: Project):
    run(
        project,
        RAW.replace(
            "'2026-01-05'::timestamptz, '2026-03-29 23:30'", "date_trunc('day', now()) - INTERVAL '30 days', now()"
        ),
        "SELECT add_retention_policy('r', INTERVAL '10 days', initial_start => now() + INTERVAL '5 days')",
    )
    aggregate(project, "time_bucket('1 day', at)")
    run(
        project,
        "SELECT drop_chunks('r', INTERVAL '10 days')",
        "INSERT INTO r SELECT date_trunc('day', now()) - make_interval(days => d, hours => 5), 1000 FROM generate_series(10, 30) d",
    )
    kept = project.query(STORED)
    refreshed(project, "a")
    assert set(kept) <= set(project.query(STORED))


# Where nothing was dropped


WORKDAYS = RAW.replace("'30 minutes') t", "'30 minutes') t WHERE extract(isodow FROM t) < 6")


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS.keys())
def test_a_source_that_rests_at_weekends_is_taken_up_like_another(project: Project, bucket: str):
    run(project, WORKDAYS)
    aggregate(project, bucket)
    run(project, *map(LATE.format, ("2026-01-30 05:00", "2026-02-27 23:30", "2026-03-23 00:30", "2026-03-27 21:00")))
    assert only_here(project) == 0
    refreshed(project, "a")
    ours = project.query(STORED)
    run(project, CALL.format("a"))
    assert project.query(STORED) == ours
    assert project.one("SELECT sum(v) FROM a") == project.one("SELECT sum(v) FROM r")


def test_buckets_that_are_not_there_are_filled_whatever_came_of_their_chunks(project: Project):
    run(project, RAW, DROP, *map(LATE.format, LATER["in both"]), SUMS.format(BUCKETS["weeks"], "", "r"))
    refreshed(project, "a")
    assert project.one("SELECT sum(v) FROM a") == project.one("SELECT sum(v) FROM r")
