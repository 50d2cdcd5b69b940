"""An aggregate that a file drops and recreates keeps its history: on a real TimescaleDB."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import ok
from tests.timescale.reader import reading

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from tests.rig.project import Project

RAW = """
CREATE TABLE r (time timestamptz NOT NULL, device int, v real);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO r SELECT t, 1, extract(epoch FROM t)::int % 97
  FROM generate_series(date_trunc('day', now()) - INTERVAL '180 days', date_trunc('day', now()), '10 min') t;
"""
HOURLY = """
CREATE MATERIALIZED VIEW energy_hourly WITH (timescaledb.continuous{more}) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS total{columns} FROM r GROUP BY 1, 2{data};
"""
POLICY = """
SELECT add_continuous_aggregate_policy('energy_hourly', start_offset => INTERVAL '3 days',
  end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '1 hour');
"""
HUNG = """
CREATE MATERIALIZED VIEW energy_daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS day, device, sum(total) AS total FROM energy_hourly GROUP BY 1, 2;
CREATE VIEW latest AS SELECT device, max(bucket) AS seen FROM energy_hourly GROUP BY device;
GRANT SELECT ON energy_hourly TO pg_monitor; GRANT SELECT ON energy_daily TO pg_monitor;
COMMENT ON VIEW energy_hourly IS 'by hour'; COMMENT ON VIEW latest IS 'last';
CREATE INDEX hourly_total ON energy_hourly (total, bucket);
"""
REDO = "-- tidelock: rebuild energy_hourly\nDROP MATERIALIZED VIEW IF EXISTS energy_hourly CASCADE;\n"
RETENTION = "SELECT drop_chunks('r', date_trunc('day', now()) - INTERVAL '30 days')"
STATE = "SELECT count(*), sum(total), min(bucket) FROM energy_hourly"


def hourly(columns: str = "", more: str = "", data: str = "") -> str:
    return HOURLY.format(columns=columns, more=more, data=data)


@pytest.fixture
def grown(project: Project) -> Project:
    """180 days in aggregates, 30 of them in raw data, and what hangs on them."""
    project.write("001_r.sql", RAW)
    project.write("002_hourly.sql", hourly() + POLICY + HUNG)
    ok(project.apply())
    project.query(RETENTION)
    return project


def test_history_and_all_that_hung_on_it_are_there_after_three_files(grown: Project):
    before, daily = grown.query(STATE), grown.query("SELECT count(*), sum(total) FROM energy_daily")
    for number in (3, 4, 5):
        grown.write(
            f"00{number}_redo.sql",
            REDO + hourly() + POLICY + "CALL refresh_continuous_aggregate('energy_hourly', NULL, NULL);",
        )
    ok(grown.apply())
    assert grown.query(STATE) == before
    assert grown.query("SELECT count(*), sum(total) FROM energy_daily") == daily
    assert grown.one("SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_refresh%'") == 1
    assert grown.one(
        "SELECT has_table_privilege('pg_monitor', 'energy_hourly', 'SELECT') AND has_table_privilege('pg_monitor', 'energy_daily', 'SELECT')"
    )
    assert (
        grown.one("SELECT obj_description('energy_hourly'::regclass) || obj_description('latest'::regclass)")
        == "by hourlast"
    )
    assert grown.one("SELECT count(*) FROM latest") == 1
    assert grown.one("SELECT count(*) FROM pg_indexes WHERE indexname = 'hourly_total'") == 1
    assert ok(grown.apply()).applied == ()
    assert grown.query(STATE) == before


def test_a_new_column_is_null_in_what_raw_data_cannot_fill(grown: Project):
    before = grown.query(STATE)
    grown.write("003_redo.sql", REDO + hourly(", avg(v) AS mean"))
    ok(grown.apply())
    assert grown.query(STATE) == before
    filled, empty = grown.query("SELECT count(mean), count(*) - count(mean) FROM energy_hourly")[0]
    assert (filled > 690, empty > 3500) == (True, True)
    assert any("mean" in text for text in grown.heard.texts(Happening.NOTE))


def test_a_job_of_the_users_own_on_no_hypertable_is_not_in_the_way(grown: Project):
    grown.query("CREATE PROCEDURE work(job_id int, config jsonb) LANGUAGE plpgsql AS 'BEGIN END'")
    number = grown.one("SELECT add_job('work', INTERVAL '1 day')")
    before = grown.query(STATE)
    grown.write("003_redo.sql", REDO + hourly(", avg(v) AS mean"))
    ok(grown.apply())
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(*) FROM timescaledb_information.jobs WHERE job_id = %s", number) == 1


def test_a_drop_without_cascade_and_an_altered_type_between(grown: Project):
    before = grown.query(STATE)
    grown.write(
        "003_redo.sql",
        "-- tidelock: rebuild energy_hourly\nDROP MATERIALIZED VIEW energy_hourly;\n"
        "ALTER TABLE r ALTER COLUMN device TYPE int;\n" + hourly(),
    )
    ok(grown.apply())
    assert grown.query(STATE) == before
    assert grown.one("SELECT count(*) FROM energy_daily") == 181


def test_a_real_time_aggregate_is_one_again_and_shows_everything(grown: Project):
    before = grown.query(STATE)
    grown.write("003_redo.sql", REDO + hourly(more=", timescaledb.materialized_only = false", data=" WITH DATA"))
    ok(grown.apply())
    assert grown.query(STATE) == before
    assert grown.one(
        "SELECT NOT materialized_only FROM timescaledb_information.continuous_aggregates WHERE view_name = 'energy_hourly'"
    )


def test_a_file_with_its_own_transaction(grown: Project):
    before = grown.query(STATE)
    grown.write("003_redo.sql", REDO.replace("DROP", "BEGIN;\nDROP", 1) + hourly() + "COMMIT;")
    ok(grown.apply())
    assert grown.query(STATE) == before


def test_readers_see_the_old_or_the_new_one_and_never_less(grown: Project):
    before = grown.query(STATE)
    grown.write("003_redo.sql", REDO + hourly())
    with reading(grown.dsn) as seen:
        report = grown.apply()
    ok(report)
    assert (seen.faults, min(seen.rows), grown.query(STATE)) == ([], before[0][0], before)


def test_what_cannot_be_rebuilt_is_refused_with_the_reason(project: Project):
    project.write("001_x.sql", "-- tidelock: rebuild other\n" + hourly())
    report = project.apply()
    assert report.failure is not None
    assert report.failure.code == "S044"
    project.write("001_x.sql", REDO + "COMMIT;\nCALL refresh_continuous_aggregate('x', NULL, NULL);\n" + hourly())
    report = project.apply()
    assert report.failure is not None
    assert report.failure.code == "S045"


def test_an_owner_without_other_rights_rebuilds_what_is_its_own(project: Project):
    role = f"rb_{project.one('SELECT current_database()')}"[-60:]
    database = project.one("SELECT current_database()")
    project.query(
        f"CREATE ROLE {role} LOGIN; ALTER DATABASE {database} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role}"
    )
    admin, project.dsn = project.dsn, psycopg.conninfo.make_conninfo(project.dsn, user=role)
    try:
        project.write("001_r.sql", RAW)
        project.write("002_hourly.sql", f"\\c {database}\n" + hourly() + POLICY + HUNG.replace("pg_monitor", "PUBLIC"))
        ok(project.apply())
        project.query(RETENTION)
        before = project.query(STATE)
        project.write("003_redo.sql", REDO + f"\\c {database}\n" + hourly(", avg(v) AS mean"))
        ok(project.apply())
        assert project.query(STATE) == before
        assert project.one("SELECT count(*) FROM energy_daily") == 181
    finally:
        project.dsn = admin
        project.query(f"ALTER DATABASE {database} OWNER TO postgres; REASSIGN OWNED BY {role} TO postgres")
        project.query(f"DROP OWNED BY {role}")
        project.query(f"DROP ROLE {role}")


KILLS = int(os.environ.get("TIDELOCK_TEST_KILLS", "6"))


def test_killed_at_any_moment_it_ends_the_same(grown: Project):
    wanted, rng = grown.query(STATE), random.Random(5)
    for number in range(KILLS):
        grown.write(f"{number + 3:03}_redo.sql", REDO + hourly(f", max(v) + {number} AS x{number}"))
        process = grown.start("apply")
        time.sleep(rng.uniform(0.3, 2.5))
        process.kill()
        process.communicate()
        count = grown.query("SELECT count(*) FROM energy_hourly")[0][0]
        assert count == wanted[0][0]
        ok(grown.apply())
        assert grown.query(STATE) == wanted
        assert grown.one(f"SELECT count(x{number}) FROM energy_hourly") > 690
    assert grown.one("SELECT count(*) FROM energy_daily") == 181


def test_a_file_that_takes_another_role_is_rebuilt_as_that_role(grown: Project):
    role = f"rbr_{grown.one('SELECT current_database()')}"[-60:]
    grown.query(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON r TO {role}")
    try:
        for kind, name in (
            ("TABLE", "r"),
            ("MATERIALIZED VIEW", "energy_hourly"),
            ("MATERIALIZED VIEW", "energy_daily"),
            ("VIEW", "latest"),
        ):
            grown.query(f"ALTER {kind} {name} OWNER TO {role}")
        before = grown.query(STATE)
        grown.write("003_redo.sql", REDO.replace("DROP", f"SET ROLE {role};\nDROP", 1) + hourly())
        ok(grown.apply())
        assert grown.query(STATE) == before
        assert grown.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'energy_daily'") == role
    finally:
        grown.query(f"REASSIGN OWNED BY {role} TO postgres")
        grown.query(f"DROP OWNED BY {role}")
        grown.query(f"DROP ROLE {role}")


def test_another_bucket_width_keeps_old_rows_as_they_are(grown: Project):
    rows, total, first = grown.query(STATE)[0]
    grown.write("003_redo.sql", REDO + hourly().replace("'1 hour', time", "'4 hours', time"))
    ok(grown.apply())
    assert grown.query("SELECT sum(total), min(bucket) FROM energy_hourly") == [(total, first)]
    assert 3600 < grown.one("SELECT count(*) FROM energy_hourly") < rows


def test_a_column_of_another_type_is_null_where_raw_data_is_gone(grown: Project):
    grown.query("DROP MATERIALIZED VIEW energy_daily")
    grown.write("003_redo.sql", REDO + hourly().replace("sum(v) AS total", "sum(v)::text AS total"))
    report = grown.apply()
    assert report.failure is None, f"{report.failure.message} {report.failure.detail}"
    assert grown.one("SELECT count(*) FROM energy_hourly") == 4321
    assert any("raw data cannot fill: total" in text for text in grown.heard.texts(Happening.NOTE))


def test_a_view_that_does_not_fit_any_more_stops_it_and_changes_nothing(grown: Project):
    before = grown.query(STATE)
    grown.query("CREATE VIEW totals AS SELECT total FROM energy_hourly")
    grown.write("003_redo.sql", REDO + hourly().replace("AS total", "AS sum_of_v"))
    report = grown.apply()
    assert report.failure is not None
    assert report.failure.code == "L048"
    assert grown.query(STATE) == before


def test_columnstore_settings_and_their_policy_come_back(grown: Project):
    grown.query(
        "ALTER MATERIALIZED VIEW energy_hourly SET (timescaledb.compress = true, timescaledb.compress_segmentby = 'device')"
    )
    grown.query("SELECT add_compression_policy('energy_hourly', compress_after => INTERVAL '60 days')")
    grown.write("003_redo.sql", REDO + hourly())
    ok(grown.apply())
    assert (
        grown.one(
            "SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' AND hypertable_name = 'energy_hourly'"
        )
        == 1
    )
    assert (
        grown.one(
            "SELECT segmentby FROM timescaledb_information.hypertable_columnstore_settings s JOIN timescaledb_information.continuous_aggregates a ON s.hypertable = format('%I.%I', a.materialization_hypertable_schema, a.materialization_hypertable_name)::regclass WHERE view_name = 'energy_hourly'"
        )
        == "device"
    )
