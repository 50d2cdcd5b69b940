"""Ways to lose history in a file that keeps it, which a black-box examination found open, each of them closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.postgres.test_apply import ok
from tests.timescale.test_guard import AGAIN, filled, project, refused

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from tests.rig.project import Project

__all__ = ["filled", "project"]

REBUILD = f"-- tidelock: rebuild hourly\nDROP MATERIALIZED VIEW hourly CASCADE;\n{AGAIN}"
WIPE = """
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
EXECUTE 'DELETE FROM ' || (SELECT format('_timescaledb_internal._materialized_hypertable_%s', mat_hypertable_id)
  FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = 'hourly') || ' WHERE bucket < now() - interval ''60 days''';
RETURN 1; END $$;
CREATE FUNCTION away() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
EXECUTE 'DROP MATERIALIZED VIEW hourly CASCADE'; RETURN 1; END $$;
"""
RENAMED = """
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS total FROM raw GROUP BY 1, 2 WITH NO DATA;
"""
DAILY = """
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, device, sum(total) AS v FROM hourly GROUP BY 1, 2 WITH NO DATA;
"""
DAYS = "SELECT count(*), sum(v), count(v) FROM daily"


@pytest.mark.parametrize(
    "sql",
    [
        REBUILD.replace("\n", "\nSELECT wipe();\n", 1),
        REBUILD.replace("\n", "\nCREATE TABLE x AS SELECT wipe();\n", 1),
        REBUILD.replace("\n", "\nSELECT away();\n", 1).replace("VIEW hourly CASCADE", "VIEW IF EXISTS hourly CASCADE"),
        REBUILD.replace("\n", "\nCREATE VIEW nothing AS SELECT 1;\nSELECT wipe();\nDROP VIEW nothing;\n", 1),
    ],
)
def test_what_code_takes_before_the_rows_are_copied_out_is_seen(project: Project, sql: str):
    project.query(WIPE)
    project.write("001_again.sql", sql)
    refused(project, "L042", "hourly: ", "was rolled back")


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    "drop", ["DROP MATERIALIZED VIEW hourly CASCADE;", "DROP MATERIALIZED VIEW daily; DROP MATERIALIZED VIEW hourly;"]
)
def test_what_reads_a_column_that_is_new_keeps_its_own_old_rows(project: Project, both: bool, drop: str):
    before = project.query(DAYS)
    daily = "-- tidelock: rebuild daily\n" if both or "daily" in drop else ""
    project.write("001_again.sql", f"-- tidelock: rebuild hourly\n{daily}{drop}{RENAMED}{DAILY}")
    ok(project.apply())
    assert project.query(DAYS) == before
    told = "\n".join(project.heard.texts(Happening.NOTE))
    assert "gone with what they held: v" in told
    project.write("002_once_more.sql", "CALL refresh_continuous_aggregate('daily', NULL, NULL);")
    ok(project.apply())
    assert project.query(DAYS) == before


def test_one_that_comes_back_by_itself_keeps_them_when_it_is_refreshed_later(project: Project):
    project.query("DROP MATERIALIZED VIEW daily")
    project.query(DAILY.replace("sum(total)", "avg(v)"))
    project.query("CALL refresh_continuous_aggregate('daily', NULL, NULL)")
    before = project.query(DAYS)
    real = AGAIN.replace("avg(v) AS v", "sum(v)::real AS v")
    project.write("001_again.sql", f"-- tidelock: rebuild hourly\nDROP MATERIALIZED VIEW hourly CASCADE;\n{real}")
    ok(project.apply())
    assert project.query(DAYS) == before
    project.write("002_once_more.sql", "CALL refresh_continuous_aggregate('daily', NULL, NULL);")
    ok(project.apply())
    assert project.query(DAYS) == before


def test_one_that_would_come_back_without_its_values_is_refused(project: Project):
    real = AGAIN.replace("avg(v) AS v", "sum(v)::real AS v")  # and sum(real) is real
    project.write("001_again.sql", f"-- tidelock: rebuild hourly\nDROP MATERIALIZED VIEW hourly CASCADE;\n{real}")
    refused(project, "L048", "public.daily depends on public.hourly", "v (double precision before, real now)")


def test_a_sum_that_is_no_number_is_kept_as_it_is(project: Project):
    project.query(
        "INSERT INTO raw VALUES (now() - INTERVAL '20 days', 9, 'NaN'), (now() - INTERVAL '20 days', 8, '-inf')"
    )
    project.query("CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '25 days', NULL)")
    project.write("001_again.sql", REBUILD)
    ok(project.apply())
    assert project.query("SELECT v::text FROM hourly WHERE device > 7 ORDER BY device") == [("-Infinity",), ("NaN",)]


# --- what is no loss -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SET timezone = 'America/New_York'; SET extra_float_digits = 0; SET datestyle = 'German'; SELECT nothing();",
        "ALTER MATERIALIZED VIEW hourly RENAME COLUMN v TO w; SELECT nothing();",
        "ALTER MATERIALIZED VIEW flat ADD COLUMN x double precision GENERATED ALWAYS AS (max(v)) STORED; SELECT nothing();",
        "ALTER TYPE mood RENAME VALUE 'good' TO 'fine'; SELECT nothing();",
    ],
)
def test_what_leaves_the_values_as_they_are_is_let_be(project: Project, sql: str):
    without_hash = "max(v) AS j" if "mood" in sql else "json_agg(v) AS j"
    project.query("CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    project.query("CREATE TYPE mood AS ENUM ('good', 'bad')")
    project.query("ALTER TABLE raw ADD COLUMN m mood")
    project.query("UPDATE raw SET m = 'good' WHERE time > now() - INTERVAL '10 days'")
    project.query(
        "CREATE MATERIALIZED VIEW moods WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', time) AS bucket, m, "
        f"{without_hash}, count(*) AS n FROM raw GROUP BY 1, 2 WITH NO DATA"
    )
    project.query("CALL refresh_continuous_aggregate('moods', NULL, NULL)")
    project.query("SELECT drop_chunks('raw', INTERVAL '5 days')")
    project.write("001_x.sql", sql)
    ok(project.apply())
