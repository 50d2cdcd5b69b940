"""Nothing erases what exists only in an aggregate: refused before, or compared and rolled back, on a real server."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.conftest import TIMESCALE
from tests.postgres.test_apply import ok
from tests.postgres.test_interruption import until
from tests.rig.project import Project
from tests.rig.requirement import missing

from tidelock.core.report import Happening
from tidelock.timescale import look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RAW = """
CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE TABLE raw (time timestamptz NOT NULL, device int NOT NULL, v double precision, note text);
SELECT create_hypertable('raw', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO raw SELECT t, d, 1, 'x' FROM generate_series(date_trunc('day', now()) - INTERVAL '180 days', now(), '10 minutes') t,
  generate_series(1, 3) d;
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v FROM raw GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, device, sum(v) AS v FROM hourly GROUP BY 1, 2 WITH NO DATA;
CALL refresh_continuous_aggregate('hourly', NULL, NULL);
CALL refresh_continuous_aggregate('daily', NULL, NULL);
CREATE MATERIALIZED VIEW flat WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', time) AS bucket, count(*) AS n FROM raw GROUP BY 1 WITH NO DATA;
CALL refresh_continuous_aggregate('flat', NULL, NULL);
SELECT add_continuous_aggregate_policy('hourly', INTERVAL '2 days', INTERVAL '1 hour', INTERVAL '1 hour');
SELECT drop_chunks('raw', INTERVAL '30 days');
"""
SMALL = """
CREATE TABLE r (time timestamptz NOT NULL, v int);
SELECT create_hypertable('r', 'time');
CREATE MATERIALIZED VIEW h WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, sum(v) AS v FROM r GROUP BY 1 WITH NO DATA;
"""
AGAIN = """
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, avg(v) AS v FROM raw GROUP BY 1, 2 WITH NO DATA;
"""
QUIET = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"""


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    """180 days of data in the aggregates, the last 30 of them in the hypertable; made once, and copied."""
    server = os.environ.get(TIMESCALE)
    if not server:
        missing("TimescaleDB", f"set {TIMESCALE} to the DSN of a server that has it", package=False)
    name = f"tl_guard_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            with psycopg.connect(server, dbname=name, autocommit=True) as conn:
                for statement in RAW.split(";"):
                    conn.execute(statement.encode())
                conn.execute("SELECT _timescaledb_functions.stop_background_workers()")
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            admin.execute(QUIET, (name,))
            yield name
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def project(tmp_path: Path, filled: str) -> Iterator[Project]:
    """A directory, and a database with history that exists nowhere else."""
    server, name = os.environ[TIMESCALE], f"{filled}_{time.monotonic_ns()}"
    (folder := tmp_path / "migrations").mkdir()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {filled}".encode())
        try:
            yield Project(folder, psycopg.conninfo.make_conninfo(server, dbname=name))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


STATE = """
SELECT (SELECT count(*) FROM raw), (SELECT count(*) FROM hourly), (SELECT sum(v) FROM hourly), (SELECT count(*) FROM daily), (SELECT sum(n) FROM flat),
       (SELECT array_agg(job_id ORDER BY job_id) FROM timescaledb_information.jobs WHERE job_id >= 1000),
       (SELECT array_agg(mat_hypertable_id ORDER BY 1) FROM _timescaledb_catalog.continuous_agg),
       pg_get_viewdef('hourly'::regclass)"""


def refused(project: Project, code: str = "L042", *told: str, **asked: Any) -> str:
    """`apply` refuses with exit 4; nothing is another than it was. Returns all that it says."""
    before = project.query(STATE)
    report = project.apply(**asked)
    assert report.failure is not None, [each.label for each in report.applied]
    text = f"{report.failure.message}\n{report.failure.detail}\n{report.failure.hint}"
    assert (report.failure.code, report.failure.exit_code) == (code, 4), text
    assert project.query(STATE) == before
    for each in told:
        assert each in text, text
    return text


def test_a_file_that_drops_and_recreates_is_refused_with_the_numbers_and_nothing_changes(project: Project):
    project.write("001_again.sql", "DROP MATERIALIZED VIEW IF EXISTS hourly CASCADE;" + AGAIN)
    text = refused(
        project,
        "L042",
        "hourly: 3,6",
        "daily: 15",
        "exist nowhere else",
        "001_again.sql:1",
        "DROP MATERIALIZED VIEW",
        "`-- tidelock: rebuild hourly`",
        "`-- tidelock: accept-loss hourly: why`",
        "accept-loss daily",
    )
    assert "rebuild daily" not in text
    assert project.one("SELECT to_regclass('schema_migrations')") is None


def test_accept_loss_with_or_without_the_schema_lets_it_go(project: Project):
    project.write(
        "001_again.sql",
        "-- tidelock: accept-loss public.hourly: archived\n-- tidelock: accept-loss daily: archived\n"
        "DROP MATERIALIZED VIEW hourly CASCADE;" + AGAIN,
    )
    ok(project.apply())
    assert project.versions() == [1]


def test_accept_loss_of_one_does_not_speak_for_the_other(project: Project):
    project.write("001_again.sql", "-- tidelock: accept-loss hourly: x\nDROP MATERIALIZED VIEW hourly CASCADE;" + AGAIN)
    text = refused(project, "L042", "daily: 15")
    assert "hourly: 3" not in text


def test_accept_loss_of_what_nothing_threatens_is_a_remark(project: Project):
    project.write("001_table.sql", "-- tidelock: accept-loss hourly: x\nCREATE TABLE t (id int);")
    assert [each.code for each in ok(project.apply()).findings] == ["N006"]


def test_all_statements_of_all_files_are_named_in_one_message(project: Project):
    project.write("001_flat.sql", "DROP MATERIALIZED VIEW flat;")
    project.write("002_hourly.sql", "SELECT 1;\nDROP MATERIALIZED VIEW hourly CASCADE;")
    refused(project, "L042", "001_flat.sql:1", "002_hourly.sql:2", "flat: ", "hourly: ")


def test_what_the_plan_dropped_before_with_consent_is_no_longer_there(project: Project):
    project.write(
        "001_drop.sql",
        "-- tidelock: accept-loss hourly: x\n-- tidelock: accept-loss daily: x\nDROP MATERIALIZED VIEW hourly CASCADE;",
    )
    project.write("002_new.sql", AGAIN)
    project.write("003_fill.sql", "CALL refresh_continuous_aggregate('hourly', NULL, NULL);")
    project.write("004_again.sql", "DROP MATERIALIZED VIEW hourly;" + AGAIN)
    run = project.run()
    try:
        observed = run.database.observe()
        run.examine(run.decide(observed), observed)
    finally:
        run.database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE raw CASCADE",
        "ALTER TABLE raw DROP COLUMN v CASCADE",
        "DROP SCHEMA public CASCADE",
        "DROP EXTENSION timescaledb CASCADE",
        "DO $$ BEGIN IF true THEN DROP MATERIALIZED VIEW flat; END IF; END $$",
        "DROP TABLE _timescaledb_internal._materialized_hypertable_2 CASCADE",
        "TRUNCATE hourly",
        "SELECT drop_chunks('hourly', INTERVAL '90 days')",
        "DELETE FROM _timescaledb_internal._materialized_hypertable_2",
        "SET search_path = pg_catalog, public; DROP MATERIALIZED VIEW flat",
        "CALL refresh_continuous_aggregate('hourly', NULL, NULL)",
        "CALL refresh_continuous_aggregate('public.hourly', now() - INTERVAL '60 days', NULL)",
        "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '1 day' * 60, now())",
        "ALTER MATERIALIZED VIEW flat RENAME TO old; DROP MATERIALIZED VIEW old",
        "TRUNCATE raw; CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '2 days', NULL)",
    ],
)
def test_it_is_seen_before_anything_runs(project: Project, statement: str):
    project.write("001_before.sql", "CREATE TABLE before (id int);")
    project.write("002_harm.sql", statement + ";")
    refused(project, "L042", "002_harm.sql:1", "exist nowhere else")
    assert project.one("SELECT to_regclass('before')") is None


def test_an_aggregate_that_another_can_give_back_is_no_threat(project: Project):
    project.write("001_daily.sql", "DROP MATERIALIZED VIEW daily;")
    ok(project.apply())


def test_drop_owned_takes_what_the_role_owns(project: Project):
    role = f"tl_owner_{os.getpid()}"
    project.query(f"CREATE ROLE {role}; GRANT SELECT ON raw TO {role}")
    try:
        project.query(f"ALTER MATERIALIZED VIEW flat OWNER TO {role}")
        project.write("001_owned.sql", f"DROP OWNED BY {role} CASCADE;")
        refused(project, "L042", "flat: ")
    finally:
        project.query(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_function_that_an_aggregate_hangs_on(project: Project):
    project.query(
        "CREATE FUNCTION twice(double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'"
    )
    project.query(
        "CREATE MATERIALIZED VIEW doubled WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', time) AS b, "
        "twice(sum(v)) AS v FROM raw GROUP BY 1 WITH NO DATA"
    )
    project.query("CALL refresh_continuous_aggregate('doubled', NULL, NULL)")
    project.query("SELECT drop_chunks('raw', INTERVAL '10 days')")
    project.write("001_drop.sql", "DROP FUNCTION twice CASCADE;")
    text = refused(project, "L042", "doubled: ")
    assert "hourly:" not in text


def test_the_window_that_is_safe_is_told_and_is_safe(project: Project):
    project.write("001_fill.sql", "CALL refresh_continuous_aggregate('hourly', NULL, NULL);")
    before = project.query("SELECT count(*), sum(v) FROM hourly")
    text = refused(project, "L042", "refresh only where raw data is: `CALL refresh_continuous_aggregate('hourly', '")
    call = text.partition("raw data is: `")[2].partition("`")[0]
    project.write("001_fill.sql", f"{call};")
    ok(project.apply())
    assert project.query("SELECT count(*), sum(v) FROM hourly") == before


def test_a_refresh_of_what_raw_rows_are_there_for_is_let_through(project: Project):
    project.write("001_fill.sql", "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '20 days', now());")
    ok(project.apply())


def test_a_new_aggregate_and_one_without_history_are_no_threat(project: Project):
    project.query(
        "CREATE MATERIALIZED VIEW young WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', time) AS b, "
        "max(v) FROM raw GROUP BY 1 WITH NO DATA"
    )
    project.query("CALL refresh_continuous_aggregate('young', NULL, NULL)")
    project.write("001_young.sql", "DROP MATERIALIZED VIEW young;")
    project.write(
        "002_other.sql",
        "CREATE MATERIALIZED VIEW other WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', time) AS b, "
        "max(v) FROM raw GROUP BY 1 WITH NO DATA;\nCALL refresh_continuous_aggregate('other', NULL, NULL);",
    )
    project.write("003_other.sql", "DROP MATERIALIZED VIEW other;")
    ok(project.apply())


# --- what no parser can see -------------------------------------------------------------------------------------------


def test_execute_in_a_do_block_is_rolled_back_with_the_numbers(project: Project):
    project.write(
        "001_do.sql", "DO $$ BEGIN EXECUTE 'DROP MATERIALIZED VIEW ' || quote_ident('hourly') || ' CASCADE'; END $$;"
    )
    refused(project, "L042", "hourly: ", "was rolled back", "001_do.sql:1")
    assert project.versions() == []


def test_a_function_that_is_called_is_rolled_back(project: Project):
    project.query(
        "CREATE FUNCTION tidy() RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM drop_chunks('hourly', INTERVAL '60 days'); END $$"
    )
    project.write("001_tidy.sql", "SELECT tidy();")
    refused(project, "L042", "hourly: ", "was rolled back")


def test_a_trigger_is_rolled_back(project: Project):
    project.query(
        "CREATE TABLE t (id int); CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "EXECUTE 'DROP MATERIALIZED VIEW flat'; RETURN NULL; END $$; "
        "CREATE TRIGGER harm AFTER INSERT ON t EXECUTE FUNCTION harm()"
    )
    project.write("001_t.sql", "INSERT INTO t VALUES (1);")
    refused(project, "L042", "flat: ", "was rolled back")


def test_code_that_the_file_itself_brings_is_watched(project: Project):
    project.write(
        "001_f.sql",
        "CREATE FUNCTION harm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP MATERIALIZED VIEW flat'; RETURN 1; END $$;",
    )
    project.write("002_call.sql", "SELECT harm();")
    report = project.apply()
    assert report.failure is not None
    assert report.failure.code == "L042"
    assert [each.version for each in report.applied] == [1]
    assert project.one("SELECT count(*) FROM flat") > 150


def test_gexec_is_rolled_back(project: Project):
    project.write("001_g.sql", "SELECT 'DROP MATERIALIZED VIEW flat' \\gexec\n")
    refused(project, "L042", "flat: ", "was rolled back")


def test_rows_changed_from_code_are_found(project: Project):
    project.write(
        "001_do.sql",
        "DO $$ BEGIN EXECUTE format('UPDATE %s SET v = 0 WHERE bucket < now() - interval ''100 days''', "
        "'_timescaledb_internal.' || quote_ident('_materialized_hypertable_2')); END $$;",
    )
    refused(project, "L042", "hourly: ", "was rolled back")


def test_code_that_does_no_harm_passes(project: Project):
    project.write("001_do.sql", "DO $$ BEGIN EXECUTE 'CREATE TABLE fine (id int)'; END $$;")
    project.write("002_real.sql", "ALTER MATERIALIZED VIEW hourly SET (timescaledb.materialized_only = true);")
    project.write("003_more.sql", "DO $$ BEGIN EXECUTE 'ALTER MATERIALIZED VIEW daily RENAME TO by_day'; END $$;")
    ok(project.apply())


def test_code_that_commits_is_refused_while_there_is_history(project: Project):
    project.write("001_do.sql", "DO $$ BEGIN EXECUTE 'CREATE TABLE fine (id int)'; COMMIT; END $$;")
    refused(project, "L045", "001_do.sql:1", "hourly: ", "flat: ", "accept-loss")
    project.write(
        "001_do.sql",
        "-- tidelock: accept-loss hourly: x\n-- tidelock: accept-loss daily: x\n-- tidelock: accept-loss flat: x\n"
        "DO $$ BEGIN EXECUTE 'CREATE TABLE fine (id int)'; COMMIT; END $$;",
    )
    ok(project.apply())


def test_a_procedure_that_commits_is_refused_and_one_that_can_be_read_is_not(project: Project):
    project.query("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$")
    project.write("001_p.sql", "CALL p();")
    refused(project, "L045", "001_p.sql:1")
    project.write("001_p.sql", "DO $$ BEGIN CREATE TABLE fine (id int); COMMIT; END $$;")
    ok(project.apply())


def test_a_job_run_by_hand_counts_as_what_it_does(project: Project):
    job = project.one("SELECT add_continuous_aggregate_policy('flat', NULL, INTERVAL '1 day', INTERVAL '1 day')")
    project.write("001_job.sql", f"CALL run_job({job});")
    refused(project, "L042", "flat: ", f"job {job} refreshes them")


# --- the quiet ways ---------------------------------------------------------------------------------------------------


def test_a_view_over_an_aggregate_is_refused(project: Project):
    project.write("001_v.sql", "CREATE OR REPLACE VIEW hourly AS SELECT time AS bucket, device, v FROM raw;")
    refused(project, "L044", "hourly")


def test_a_view_over_an_aggregate_from_code_is_rolled_back(project: Project):
    project.write(
        "001_v.sql",
        "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW ' || quote_ident('hourly') || "
        "' AS SELECT time AS bucket, device, v FROM raw'; END $$;",
    )
    refused(project, "L044", "hourly", "was rolled back")


def test_if_not_exists_with_another_definition_is_refused_with_both(project: Project):
    project.write("001_h.sql", AGAIN.replace("VIEW hourly", "VIEW IF NOT EXISTS hourly"))
    refused(project, "L043", "-    sum(raw.v) AS v", "+    avg(raw.v) AS v")


def test_if_not_exists_with_the_same_definition_in_other_words_passes(project: Project):
    project.write(
        "001_h.sql",
        "create materialized view if not exists hourly with (timescaledb.continuous) as /* as before */ select "
        "time_bucket(interval '60 minutes', r.time) bucket, r.device, sum(r.v) v from raw as r group by 1, 2 with data;".replace(
            "raw as r", "raw"
        ).replace("r.", ""),
    )
    ok(project.apply())


def test_a_policy_that_reaches_beyond_retention_is_refused_at_whichever_comes_second(project: Project):
    project.query("SELECT add_retention_policy('raw', INTERVAL '30 days')")
    project.write(
        "001_p.sql",
        "SELECT add_continuous_aggregate_policy('daily', INTERVAL '45 days', INTERVAL '1 day', INTERVAL '1 day');",
    )
    ok(project.apply())  # it reads hourly, which keeps everything
    project.write(
        "002_p.sql",
        "SELECT remove_continuous_aggregate_policy('hourly');\n"
        "SELECT add_continuous_aggregate_policy('hourly', INTERVAL '45 days', INTERVAL '1 hour', INTERVAL '1 hour');",
    )
    refused(project, "L042", "hourly: ", "the last 45 days", "30 days of raw rows")
    project.write(
        "002_p.sql", "SELECT remove_retention_policy('raw');\nSELECT add_retention_policy('raw', INTERVAL '1 day');"
    )
    refused(project, "L042", "hourly: ", "the last 2 days")
    project.write("002_p.sql", "SELECT add_retention_policy('raw', INTERVAL '1 day', if_not_exists => true);")
    ok(project.apply())  # it is passed over


def test_a_policy_that_will_erode_is_refused_though_nothing_lies_between_the_two_ages_yet(project: Project):
    policy = "SELECT add_continuous_aggregate_policy('flat', NULL, INTERVAL '1 day', INTERVAL '1 day');"
    project.query("SELECT add_retention_policy('raw', INTERVAL '300 days')")
    project.write("001_p.sql", policy)
    refused(project, "L051", "flat is refreshed to the beginning and raw keeps 300 days", "start_offset", "001_p.sql:1")
    project.write("002_mended.sql", "SELECT remove_retention_policy('raw');")
    assert project.tidelock("plan").returncode == 0
    (project.folder / "002_mended.sql").unlink()
    project.write("001_p.sql", f"-- tidelock: accept-loss flat: a year is enough\n{policy}")
    report = ok(project.apply())
    assert not [each for each in report.findings if each.code == "N006"]
    project.write("002_again.sql", "CREATE TABLE t (id int);")
    ok(project.apply())  # verify tells of it from now on


def test_policies_that_no_file_shows_to_erode_are_told_of_with_the_sql_that_stops_them(project: Project):
    for each in SMALL.split(";"):
        project.query(each)
    project.query("SELECT add_retention_policy('r', INTERVAL '300 days')")
    add = "PERFORM add_continuous_aggregate_policy('h', NULL, INTERVAL '1 day', INTERVAL '1 day')"
    project.write("001_p.sql", f"DO $$ BEGIN IF (SELECT count(*) FROM raw) > 0 THEN {add}; END IF; END $$;")
    ok(project.apply())
    [told] = [each for each in project.heard.texts(Happening.NOTE) if "erases buckets" in each]
    assert "alter_job" in told
    project.query(f"DO $$ BEGIN {told.partition('Stop it: ')[2].replace('SELECT', 'PERFORM', 1)} END $$")
    project.write("002_p.sql", "SELECT alter_job(job_id, max_retries => 5) FROM timescaledb_information.jobs;")
    ok(project.apply())
    assert not [each for each in project.heard.texts(Happening.NOTE) if "erases buckets" in each]


def test_an_empty_database_is_not_given_policies_that_will_erode(tmp_path: Path, timescale_dsn: str):
    project = Project(tmp_path, timescale_dsn)
    project.query("DROP EXTENSION timescaledb CASCADE")
    project.write("001_raw.sql", "CREATE EXTENSION timescaledb;\n" + SMALL)
    project.write(
        "002_p.sql", "SELECT add_continuous_aggregate_policy('h', INTERVAL '45 days', NULL, INTERVAL '1 day');"
    )
    project.write("003_p.sql", "SELECT add_retention_policy('r', drop_after => INTERVAL '30 days');")
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, report.failure.exit_code, report.applied) == ("L051", 4, ())
    assert "003_p.sql:1" in report.failure.message
    project.write("003_p.sql", "SELECT add_retention_policy('r', drop_after => INTERVAL '45 days');")
    ok(project.apply())


def test_a_rewrite_that_forgets_a_default_is_refused_and_recompressing_lets_it_through(project: Project):
    project.query("ALTER TABLE raw SET (timescaledb.compress, timescaledb.compress_segmentby = 'device')")
    project.query("SELECT compress_chunk(c) FROM show_chunks('raw', older_than => INTERVAL '5 days') c")
    project.query("ALTER TABLE raw ADD COLUMN five int NOT NULL DEFAULT 5")
    project.write("001_c.sql", "CLUSTER raw USING raw_time_idx;")
    refused(project, "L046", "five of raw becomes NULL in 25 compressed chunks", "decompress_chunk")
    chunk = project.one("SELECT c::text FROM show_chunks('raw', older_than => INTERVAL '5 days') c LIMIT 1")
    project.write("001_c.sql", f"VACUUM FULL {chunk};")
    refused(project, "L046", "five of raw becomes NULL in 1 compressed chunk:")
    again = "SELECT compress_chunk(decompress_chunk(c)) FROM show_chunks('raw', older_than => INTERVAL '5 days') c"
    project.write("000_again.sql", again)
    ok(project.apply())
    assert project.one("SELECT count(*) FROM raw WHERE five IS NULL") == 0
    project.write("002_s.sql", "ALTER TABLE raw ADD COLUMN n serial;")
    refused(project, "L046", "n of raw becomes NULL")


# --- what people and others see ---------------------------------------------------------------------------------------


def test_plan_shows_the_plan_and_then_refuses(project: Project):
    project.write("001_again.sql", "DROP MATERIALIZED VIEW hourly CASCADE;" + AGAIN)
    done = project.tidelock("plan")
    assert done.returncode == 4
    assert "DROP MATERIALIZED VIEW hourly CASCADE" in done.stdout
    assert "L042" in done.stderr
    assert "exist nowhere else" in done.stderr
    done = project.tidelock("plan", "--json")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["failure"]["code"], len(shown["pending"])) == (4, "L042", 1)


def test_a_lock_that_is_not_had_in_time_is_tried_again_before_the_guards_eyes(project: Project):
    project.query("CREATE TABLE t (id int)")
    project.write(
        "001_do.sql",
        "-- tidelock: lock-timeout 300ms\nDO $$ BEGIN EXECUTE 'ALTER TABLE t ADD COLUMN x int'; END $$;",
    )
    with psycopg.connect(project.dsn) as holder:
        holder.execute("LOCK TABLE t")
        process = project.start("apply", "--json")
        until(lambda: waits(project))
        time.sleep(1)
        holder.rollback()
        report = json.loads(process.communicate(timeout=60)[0])
    assert (report["exit_code"], report["applied"][0]["lock_wait_s"] > 0.2) == (0, True)


def waits(project: Project) -> bool:
    return bool(project.one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"))


def test_a_step_that_fails_while_guarded_leaves_nothing(project: Project):
    project.write("001_do.sql", "CREATE TABLE t (id int);\nDO $$ BEGIN EXECUTE 'SELECT 1/0'; END $$;")
    before = project.query(STATE)
    report = project.apply()
    assert report.failure is not None
    assert report.failure.exit_code == 5
    assert project.query(STATE) == before
    project.write("001_do.sql", "CREATE TABLE t (id int);\nDO $$ BEGIN EXECUTE 'SELECT 1/1'; END $$;")
    ok(project.apply())


def test_two_runners_are_refused_alike(project: Project):
    project.write("001_do.sql", "DO $$ BEGIN PERFORM pg_sleep(1); EXECUTE 'DROP MATERIALIZED VIEW flat'; END $$;")
    before = project.query(STATE)
    runners = [project.start("apply") for _ in range(2)]
    for each in runners:
        _, told = each.communicate(timeout=90)
        assert each.returncode == 4, told
        assert "L042" in told
    assert project.query(STATE) == before


def test_a_step_that_is_plainly_harmless_is_not_looked_at(project: Project, monkeypatch: pytest.MonkeyPatch):
    def refuse(conn: object) -> None:
        pytest.fail("somebody looked")

    monkeypatch.setattr(look, "take", refuse)
    project.write("001_t.sql", "CREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\nCREATE INDEX ON t (id);")
    project.write("002_e.sql", "DROP TABLE t;\nALTER TABLE raw ADD COLUMN x int;")
    ok(project.apply())
    project.query("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    project.write("003_t.sql", "CREATE TABLE t (id int);\nCOMMENT ON TABLE t IS 'x';\nSET LOCAL work_mem = '8MB';")
    ok(project.apply())
