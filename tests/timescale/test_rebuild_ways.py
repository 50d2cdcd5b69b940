"""Ways to lose history in a file that keeps it, which a black-box examination found open, each of them closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import ok
from tests.timescale.test_guard import AGAIN, filled, project, refused
from tests.timescale.test_guard_ways import ADD
from tests.timescale.test_rebuilding import PRESERVE, settings

from tidelock.core.report import Happening
from tidelock.timescale import history, look

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
GO = "DROP MATERIALIZED VIEW hourly CASCADE;"
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


def refused_(project: Project, told: str) -> None:
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, told in report.failure.message) == ("L042", True), report.failure


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
    refused_(project, "daily: 150 buckets")
    ok(project.apply(**settings(project, PRESERVE)))
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
    refused_(project, "daily: 150 buckets")
    ok(project.apply(**settings(project, PRESERVE)))
    assert project.query(DAYS) == before


@pytest.mark.parametrize(
    "sql",
    [
        "DO $$ BEGIN CALL refresh_continuous_aggregate('daily', NULL, NULL); END $$;",
        "DROP MATERIALIZED VIEW daily;",
        f"SELECT {ADD}('daily', NULL, INTERVAL '1 hour', INTERVAL '1 hour');",
    ],
)
def test_its_own_old_rows_are_history_from_then_on(project: Project, sql: str):
    project.write("001_again.sql", f"-- tidelock: rebuild hourly\n-- tidelock: rebuild daily\n{GO}{RENAMED}{DAILY}")
    ok(project.apply())
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        [daily] = [each for each in look.take(conn).aggregates if each.name == "public.daily"]
        found = history.of(conn, daily)
    assert found is not None
    assert 148 <= found.buckets <= 151
    before = project.query(DAYS)
    project.write("002_x.sql", sql)
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, "daily: 1" in report.failure.message) == ("L042", True)
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


# --- guard and rebuild agree -----------------------------------------------------------------------------------------

SWAP = "ALTER MATERIALIZED VIEW hourly RENAME TO hourly_old; DROP MATERIALIZED VIEW IF EXISTS hourly;"


@pytest.mark.parametrize("head", ["-- tidelock: rebuild hourly\n", ""])
@pytest.mark.parametrize(
    "sql",
    [
        "ALTER MATERIALIZED VIEW hourly SET SCHEMA app; DROP MATERIALIZED VIEW app.hourly CASCADE;" + AGAIN,
        f"{SWAP} DROP MATERIALIZED VIEW hourly_old CASCADE; {AGAIN}",
        f"{SWAP} {AGAIN} DROP MATERIALIZED VIEW hourly_old CASCADE;",
        "DROP MATERIALIZED VIEW hourly CASCADE; SET search_path = app, public;" + AGAIN,
    ],
)
def test_what_a_rebuild_does_not_find_under_its_name_is_not_taken_for_kept(project: Project, head: str, sql: str):
    project.query("CREATE SCHEMA app")
    project.write("001_again.sql", head + sql)
    report = project.apply(**settings(project, "" if head else PRESERVE))
    assert report.failure is not None
    assert report.failure.code in ("L042", "L047")
    assert project.query("SELECT count(*) > 10000, (SELECT count(*) FROM daily) FROM hourly") == [(True, 543)]


UPPER = """CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, device, sum(v) AS v FROM hourly GROUP BY 1, 2;"""


@pytest.mark.parametrize(
    "sql",
    [
        f"{REBUILD}CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '10 days', NULL);\n{UPPER}",
        "-- tidelock: rebuild hourly\nDROP MATERIALIZED VIEW daily; DROP MATERIALIZED VIEW hourly;" + AGAIN,
        "-- tidelock: rebuild hourly\nSET search_path = app, public; DROP MATERIALIZED VIEW IF EXISTS daily;"
        "DROP MATERIALIZED VIEW hourly CASCADE;" + AGAIN.replace("VIEW hourly", "VIEW public.hourly"),
    ],
)
def test_what_reads_a_rebuilt_one_and_has_history_of_its_own_does_not_go(project: Project, sql: str):
    project.query("CREATE SCHEMA app")
    project.query("CREATE MATERIALIZED VIEW app.daily AS SELECT 1")
    project.query("SELECT drop_chunks('hourly', INTERVAL '60 days')")  # daily alone has the days before
    before = project.query(DAYS)
    project.write("001_again.sql", sql)
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, "daily: " in report.failure.message) == ("L042", True)
    assert project.query(DAYS) == before


def test_columns_that_a_file_leaves_out_unasked_stay(project: Project):
    project.write("001_again.sql", f"DROP MATERIALIZED VIEW hourly CASCADE;{RENAMED}")
    project.write("002_again.sql", f"DROP MATERIALIZED VIEW hourly CASCADE;{AGAIN}")
    project.query("DROP MATERIALIZED VIEW daily")
    report = project.apply(**settings(project, PRESERVE))
    assert report.failure is not None
    assert (report.failure.code, "without v" in report.failure.message) == ("L053", True), report.failure
    assert project.query("SELECT count(v) > 10000 FROM hourly") == [(True,)]


def test_a_column_of_the_row_type_does_not_go_unseen(project: Project):
    project.query("CREATE TABLE of_rows (id int, h hourly)")
    project.write("001_again.sql", REBUILD)
    refused(project, "L048", "column public.of_rows.h depends on public.hourly")


def test_real_time_by_alter_comes_back(project: Project):
    project.query("ALTER MATERIALIZED VIEW daily SET (timescaledb.materialized_only = false)")
    project.query("ALTER MATERIALIZED VIEW flat SET (timescaledb.materialized_only = false)")
    flat = """-- tidelock: rebuild flat
-- tidelock: rebuild hourly
DROP MATERIALIZED VIEW flat; CREATE MATERIALIZED VIEW flat WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', time) AS bucket, count(*) AS n FROM raw GROUP BY 1 WITH NO DATA;"""
    project.write("001_again.sql", flat + REBUILD)
    ok(project.apply())
    query = "SELECT materialized_only FROM timescaledb_information.continuous_aggregates ORDER BY view_name"
    assert project.query(query) == [(False,)] * 3


@pytest.mark.parametrize(
    "sql",
    [
        f"{REBUILD}CREATE VIEW daily AS SELECT 1;",
        f"{REBUILD}DROP MATERIALIZED VIEW hourly; CREATE MATERIALIZED VIEW hourly AS SELECT 1;",
    ],
)
def test_what_becomes_another_kind_of_thing_is_refused_in_words(project: Project, sql: str):
    project.write("001_again.sql", sql)
    report = project.apply()
    assert report.failure is not None
    assert report.failure.code in ("L042", "L047"), report.failure
    assert project.query("SELECT count(*) FROM daily") == [(543,)]


# --- rows of the source that go in the same transaction ---------------------------------------------------------------

OLD = "DELETE FROM raw WHERE time < now() - INTERVAL '10 days'"
CHUNK = "(SELECT c FROM show_chunks('raw') c ORDER BY c::text LIMIT 1)"
YOUNG = """CREATE MATERIALIZED VIEW young WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v FROM raw GROUP BY 1, 2 WITH NO DATA"""
AWAY = "EXECUTE 'DROP MATERIALIZED VIEW ' || 'young'"


def young(project: Project) -> None:
    """An aggregate over the rows that are there."""
    project.query(YOUNG)
    project.query("CALL refresh_continuous_aggregate('young', NULL, NULL)")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"{OLD}; DROP MATERIALIZED VIEW young;", "rows that it was made of are deleted before"),
        (f"{OLD} AND device = 1; DROP MATERIALIZED VIEW young;", "rows that it was made of are deleted before"),
        (f"DO $$ BEGIN EXECUTE $q${OLD}$q$; {AWAY}; END $$;", "rolled back"),
        (f"DO $$ BEGIN EXECUTE 'TRUNCATE ' || {CHUNK}; {AWAY}; END $$;", "rolled back"),
        (f"DO $$ BEGIN EXECUTE 'DROP TABLE ' || {CHUNK}; {AWAY}; END $$;", "rolled back"),
    ],
)
def test_an_aggregate_does_not_go_with_what_it_was_made_of(project: Project, sql: str, told: str):
    young(project)
    project.write("001_x.sql", sql)
    refused(project, "L054" if "rolled back" in told else "L042", "young", told)


def test_it_goes_where_nothing_was_taken(project: Project):
    young(project)
    project.write("001_x.sql", "UPDATE raw SET note = 'y' WHERE device = 1; DROP MATERIALIZED VIEW young;")
    ok(project.apply())


TAKE = f"""CREATE FUNCTION take() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $q${OLD} AND device = 1$q$; END $$;
SELECT take();"""
UP_TO_YESTERDAY = "SELECT count(*), sum(v) FROM {} WHERE bucket < date_trunc('day', now()) - INTERVAL '1 day'"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("how", [f"{OLD} AND device = 1;", TAKE])
def test_a_rebuild_keeps_what_was_made_of_rows_that_the_file_deletes(project: Project, how: str, before: bool):
    queries = [UP_TO_YESTERDAY.format(each) for each in ("hourly", "daily")]
    rows = [project.query(each) for each in queries]
    rebuild = "DROP MATERIALIZED VIEW hourly CASCADE;" + AGAIN.replace("avg(v)", "sum(v)")
    parts = (how, rebuild) if before else (rebuild, how)
    project.write("001_again.sql", "-- tidelock: rebuild hourly\n" + "\n".join(parts))
    ok(project.apply())
    assert [project.query(each) for each in queries] == rows


@pytest.mark.parametrize("rows", ["time > now() - INTERVAL '5 days'", "extract(hour FROM time) = 5", "device = 2"])
def test_a_rebuild_on_another_source_keeps_what_that_does_not_hold(project: Project, rows: str):
    query = "SELECT count(*), sum(n) FROM flat WHERE bucket < date_trunc('day', now())"
    before = project.query(query)
    project.query("CREATE TABLE raw2 (LIKE raw)")
    project.query("SELECT create_hypertable('raw2', 'time', chunk_time_interval => INTERVAL '1 day')")
    project.query(f"INSERT INTO raw2 SELECT * FROM raw WHERE {rows}")
    project.write(
        "001_again.sql",
        """-- tidelock: rebuild flat
DROP MATERIALIZED VIEW flat; CREATE MATERIALIZED VIEW flat WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', time) AS bucket, count(*) AS n FROM raw2 GROUP BY 1 WITH NO DATA;""",
    )
    ok(project.apply())
    assert project.query(query) == before


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
