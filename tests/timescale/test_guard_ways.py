"""Ways to lose what exists only in an aggregate that a black-box examination found open, each of them closed."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo
from tests.postgres.test_apply import ok
from tests.postgres.test_interruption import running, until
from tests.timescale.test_guard import AGAIN, filled, project, refused
from tests.timescale.test_rebuilding import PRESERVE, settings

if TYPE_CHECKING:
    from tests.rig.project import Project

__all__ = ["filled", "project"]

ALL = "DECLARE r record; BEGIN FOR r IN SELECT view_name AS n FROM timescaledb_information.continuous_aggregates LOOP"
REFRESH = "CALL refresh_continuous_aggregate"


def refused_before(project: Project, sql: str, code: str = "L042", *told: str, **asked: Any) -> None:
    """A file with it is refused, and the one before it has not run."""
    project.write("001_before.sql", "CREATE TABLE before (id int);")
    project.write("002_harm.sql", sql)
    refused(project, code, "002_harm.sql:", *told, **asked)
    assert project.one("SELECT to_regclass('before')") is None


@pytest.mark.parametrize(
    "body",
    [
        f"DECLARE n text := 'hourly'; BEGIN {REFRESH}(n::regclass, NULL, NULL); END",
        f"{ALL} {REFRESH}(format('%I', r.n)::regclass, NULL, NULL); COMMIT; END LOOP; END",
        f"{ALL} PERFORM drop_chunks(r.n::regclass, older_than => interval '30 days'); COMMIT; END LOOP; END",
        f"BEGIN {REFRESH}(format('%s', 'hourly')::regclass, NULL, NULL); END",
    ],
)
def test_an_aggregate_that_code_names_by_a_variable_may_be_any(project: Project, body: str):
    refused_before(project, f"DO $$ {body} $$;", "L045", "hourly: ", "flat: ")


def test_a_refresh_that_names_its_aggregate_by_an_expression_is_refused_like_the_one_in_words(project: Project):
    refused_before(project, f"{REFRESH}(('hou' || 'rly')::regclass, NULL, NULL);", "L045", "hourly: ")


# --- files that keep history, by `rebuild` or by `preserve` -----------------------------------------------------------

IN_DO = f"DO $$ BEGIN {REFRESH}('hourly', NULL, NULL); END $$;"
REBUILD = f"-- tidelock: rebuild hourly\nDROP MATERIALIZED VIEW hourly CASCADE;\n{AGAIN}"


@pytest.mark.parametrize("sql", [IN_DO, "CALL run_job({job});"])
def test_preserve_is_no_leave_to_refresh_from_code_or_by_a_job(project: Project, sql: str):
    job = project.one(
        "SELECT (alter_job(add_continuous_aggregate_policy('flat', NULL, INTERVAL '1 day', INTERVAL '1 day'), scheduled => false)).job_id"
    )
    refused_before(project, sql.replace("{job}", str(job)), **settings(project, PRESERVE))


def test_nor_is_rebuild(project: Project):
    refused_before(project, REBUILD + IN_DO, "L042", "hourly: ")


def test_the_file_s_own_refresh_of_what_it_rebuilds_is_done_with_care(project: Project):
    before = project.one("SELECT count(*) FROM hourly")
    project.write("001_again.sql", f"{REBUILD}{REFRESH}('hourly', NULL, NULL);")
    ok(project.apply())
    assert project.one("SELECT count(*) FROM hourly") == before


@pytest.mark.parametrize("preserve", [False, True])
def test_if_not_exists_behind_its_drop_makes_a_new_one(project: Project, preserve: bool):
    before = project.one("SELECT count(*) FROM hourly")
    again = AGAIN.replace("VIEW hourly", "VIEW IF NOT EXISTS hourly")
    again += """CREATE MATERIALIZED VIEW IF NOT EXISTS daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, device, max(v) AS v FROM hourly GROUP BY 1, 2 WITH NO DATA;"""
    told = "" if preserve else "-- tidelock: rebuild hourly\n"
    project.write("001_again.sql", f"{told}DROP MATERIALIZED VIEW IF EXISTS hourly CASCADE;{again}")
    ok(project.apply(**settings(project, PRESERVE if preserve else "")))
    assert project.one("SELECT count(*) FROM hourly") == before


def test_a_file_that_rebuilds_in_one_transaction_is_watched_in_its_others(project: Project):
    kept = REBUILD.replace("\n", "\nBEGIN;\n", 1) + "COMMIT;\n"
    project.write("001_again.sql", kept + "BEGIN; DO $$ BEGIN EXECUTE 'TRUN' || 'CATE hourly'; END $$; COMMIT;")
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, "was rolled back" in report.failure.message) == ("L042", True)
    assert project.one("SELECT count(*) FROM hourly") > 12000


# --- code that nobody sees in the statement --------------------------------------------------------------------------

HARM = """
CREATE FUNCTION harm(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
EXECUTE 'DROP MATERIALIZED VIEW flat'; RETURN 1; END $$;
CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
PERFORM drop_chunks('hourly', interval '30 days'); RETURN NULL; END $$;
"""
TABLE = "CREATE TABLE tt (id int); INSERT INTO tt VALUES (1)"
QUIET = """CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM flat; RETURN NULL; END';
CREATE TRIGGER q AFTER INSERT ON tt EXECUTE FUNCTION quiet()"""
DEFERRED = """CREATE CONSTRAINT TRIGGER h AFTER INSERT ON tt DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION harm()"""


@pytest.mark.parametrize(
    ("before", "sql"),
    [
        (DEFERRED, "INSERT INTO tt VALUES (1);"),
        ("", f"{DEFERRED}; INSERT INTO tt VALUES (1);"),
        ("CREATE MATERIALIZED VIEW mv AS SELECT harm(1) WITH NO DATA", "REFRESH MATERIALIZED VIEW mv;"),
        (
            "CREATE MATERIALIZED VIEW mv AS SELECT harm(1) WITH NO DATA",
            "-- tidelock: no-transaction\nREFRESH MATERIALIZED VIEW mv;",
        ),
        ("CREATE VIEW hv AS SELECT harm(1)", "CREATE MATERIALIZED VIEW m2 AS SELECT * FROM hv;"),
        ("CREATE VIEW hv AS SELECT harm(1)", "CREATE TABLE m2 AS SELECT * FROM hv;"),
        ("CREATE DOMAIN dh AS int DEFAULT harm(1)", "ALTER TABLE tt ADD COLUMN x dh;"),
        ("", "BEGIN; DECLARE c CURSOR FOR SELECT harm(1); FETCH ALL FROM c; COMMIT;"),
        ("CREATE VIEW hv AS SELECT drop_chunks('hourly', interval '30 days')", "SELECT * FROM hv;"),
        ("CREATE RULE r AS ON INSERT TO tt DO ALSO DELETE FROM flat", "INSERT INTO tt VALUES (1);"),
        ("CREATE VIEW over AS SELECT * FROM flat", "DELETE FROM over;"),
        (QUIET, "INSERT INTO tt VALUES (1);"),
    ],
)
def test_code_that_a_statement_sets_off_is_compared_and_rolled_back(project: Project, before: str, sql: str):
    project.query(TABLE)
    if "harm(" in before + sql:
        project.query(HARM)
    if before:
        project.query(before)
    project.write("001_x.sql", sql)
    refused(project, "L042", "was rolled back")


HELD = "DECLARE c CURSOR WITH HOLD FOR SELECT harm(id) FROM tt; FETCH 1 FROM c;"


@pytest.mark.parametrize(
    "sql",
    [
        f"BEGIN; {HELD} COMMIT;",
        HELD,
        f"-- tidelock: no-transaction\n{HELD}",
        "DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT harm(1)'; END $$;",
    ],
)
def test_a_cursor_that_is_left_to_run_at_commit_is_refused(project: Project, sql: str):
    project.query(HARM + TABLE)
    project.query(
        "CREATE OR REPLACE FUNCTION harm(int) RETURNS int LANGUAGE sql AS 'DELETE FROM flat WHERE $1 > 1; SELECT 1'"
    )
    project.query("INSERT INTO tt VALUES (2)")
    project.write("001_x.sql", sql)
    refused(project, "L055", "cursor c is WITH HOLD", "flat: ")
    assert project.one("SELECT count(*) FROM flat")


def test_a_retention_policy_that_would_drop_history_at_once_is_refused(project: Project):
    keeps = "SELECT add_retention_policy('{}', INTERVAL '{}');"
    refused_before(project, keeps.format("hourly", "60 days"), "L042", "hourly: ", "a policy that keeps 60 days")
    project.write("002_harm.sql", keeps.format("hourly", "2 years") + keeps.format("daily", "2 years"))
    ok(project.apply())
    project.write("003_more.sql", "SELECT add_retention_policy('hourly', INTERVAL '60 days', if_not_exists => true);")
    ok(project.apply())
    accept = "-- tidelock: accept-loss flat: we keep two months\n"
    project.write("004_less.sql", accept + keeps.format("flat", "60 days"))
    ok(project.apply())


def test_one_that_is_closed_before_is_not(project: Project):
    project.query(HARM + TABLE)
    project.write("001_x.sql", "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM tt; FETCH ALL FROM c; CLOSE c;")
    ok(project.apply())


def test_a_deferred_constraint_that_does_not_hold_is_told_as_at_commit(project: Project):
    project.query(f"{HARM}{TABLE}; ALTER TABLE tt ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
    project.write("001_x.sql", "INSERT INTO tt VALUES (1);")
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.exit_code, "duplicate key" in str(report.failure.detail)) == (5, True), report.failure.detail
    project.write("001_x.sql", "INSERT INTO tt VALUES (1);\nDELETE FROM tt;")
    ok(project.apply())


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM flat;",
        "UPDATE flat SET n = 0 WHERE bucket < now();",
        "MERGE INTO _timescaledb_internal._materialized_hypertable_2 t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE;",
        "WITH d AS (DELETE FROM _timescaledb_internal._materialized_hypertable_2 RETURNING 1) SELECT count(*) FROM d;",
        "EXPLAIN ANALYZE DELETE FROM _timescaledb_internal._materialized_hypertable_2;",
        "COPY (DELETE FROM _timescaledb_internal._materialized_hypertable_2 RETURNING 1) TO STDOUT;",
        "PREPARE d AS DELETE FROM _timescaledb_internal._materialized_hypertable_2; EXECUTE d;",
    ],
)
def test_rows_that_a_statement_removes_wherever_it_stands_are_seen_before_anything_runs(project: Project, sql: str):
    refused_before(project, sql)


CLEAN = """CREATE FUNCTION sweep(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM flat; RETURN $1; END';
CREATE FUNCTION clean(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT sweep($1)';"""
TWICE_ = "CREATE FUNCTION clean(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';"
EVENT = """CREATE FUNCTION swept() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN {} END';
CREATE EVENT TRIGGER swept ON ddl_command_end EXECUTE FUNCTION swept();"""
BUILD = "CREATE INDEX CONCURRENTLY ON tt ({});"


@pytest.mark.parametrize(
    ("before", "index", "refuses"),
    [
        (CLEAN, BUILD.format("clean(id)"), True),
        (TWICE_, BUILD.format("clean(id)"), False),
        (EVENT.format("DELETE FROM flat;"), BUILD.format("id"), True),
        (EVENT.format("PERFORM pg_notify(''ddl'', ''changed'');"), BUILD.format("id"), False),
    ],
)
def test_code_that_an_index_build_sets_off_is_read_before_anything_runs(
    project: Project, before: str, index: str, refuses: bool
):
    project.query(TABLE)
    project.query(before)
    if refuses:
        refused_before(project, index, "L045", "flat: ")
    else:
        project.write("001_x.sql", index)
        ok(project.apply())


@pytest.mark.parametrize(
    "bounds", ["date_trunc('day', now()) - INTERVAL '5 days', NULL", "now() - make_interval(days => 3), now()"]
)
def test_a_window_of_expressions_is_what_the_server_makes_of_it(project: Project, bounds: str):
    project.write("001_x.sql", f"CALL refresh_continuous_aggregate('hourly', {bounds});")
    ok(project.apply())
    project.write("002_x.sql", f"{REFRESH}('hourly', date_trunc('day', now()) - make_interval(days => 90), NULL);")
    assert "60 " not in refused(project, "L042", "hourly: 1,4")


def test_a_second_drop_of_a_rebuilt_one_is_found_before_anything_runs(project: Project):
    refused_before(project, f"{REBUILD}BEGIN; DROP MATERIALIZED VIEW hourly CASCADE; COMMIT;", "L042", "hourly: ")


def test_a_delete_over_many_chunks_is_looked_at_before_a_drop(project: Project):
    project.query("INSERT INTO raw SELECT t, d, 1 FROM generate_series(now() - INTERVAL '120 days', now(), '6 hours') t, "
                  "generate_series(11, 12) d")  # fmt: skip
    project.query(
        "CREATE MATERIALIZED VIEW many WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', time) AS bucket, device, "
        "count(*) AS n FROM raw GROUP BY 1, 2 WITH NO DATA"
    )
    project.query("CALL refresh_continuous_aggregate('many', NULL, NULL)")
    project.query("DELETE FROM raw WHERE device = 12")
    refused_before(project, "DROP MATERIALIZED VIEW many;", "L042", "many: 12")
    project.write("001_before.sql", "SELECT 1;")
    project.write("002_harm.sql", "DO $$ BEGIN EXECUTE 'DROP MATERIALIZED VIEW ' || quote_ident('many'); END $$;")
    refused(project, "L054", "than was looked at")


# --- others, and who may not look ---------------------------------------------------------------------------------------


def test_what_a_job_drops_meanwhile_is_not_the_step_s_doing(project: Project):
    project.query(HARM + TABLE)
    project.write("001_x.sql", "INSERT INTO tt VALUES (2); SELECT pg_sleep(3);")

    def drop() -> None:
        until(lambda: running(project, "pg_sleep"))
        project.query("SELECT drop_chunks('hourly', INTERVAL '60 days')")

    thread = threading.Thread(target=drop)
    thread.start()
    ok(project.apply())
    thread.join()
    assert project.one("SELECT count(*) < 10000 FROM hourly")


def test_who_may_not_read_an_aggregate_cannot_let_it_go_unseen(project: Project):
    role = f"guard_reader_{os.getpid()}"
    project.query(f"CREATE ROLE {role} LOGIN")
    try:
        project.query(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
        project.query(
            "CREATE FUNCTION away() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN DROP MATERIALIZED VIEW hourly CASCADE; RETURN 1; END'"
        )
        project.write("001_x.sql", "SELECT away();")
        report = replace(project, dsn=make_conninfo(project.dsn, user=role)).apply()
        assert report.failure is not None
        assert (report.failure.code, "may not read" in report.failure.message) == ("L054", True), report.failure
        assert project.one("SELECT count(*) > 10000 FROM hourly")
    finally:
        project.query(f"DROP OWNED BY {role} CASCADE")
        project.query(f"DROP ROLE {role}")


# --- names -----------------------------------------------------------------------------------------------------------

TWICE = "CREATE FUNCTION twice(double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'"
PLUS = "CREATE OPERATOR |+| (FUNCTION = float8pl, LEFTARG = double precision, RIGHTARG = double precision)"


def second(project: Project, expression: str = "count(*)", name: str = "ten.flat") -> None:
    """Another aggregate with history, in a schema of its own."""
    project.query("CREATE SCHEMA IF NOT EXISTS ten")
    project.query(
        f"CREATE MATERIALIZED VIEW {name} WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', time) AS bucket, "
        f"{expression} AS n FROM raw GROUP BY 1 WITH NO DATA"
    )
    project.query(f"CALL refresh_continuous_aggregate('{name}', NULL, NULL)")
    project.query("SELECT drop_chunks('raw', INTERVAL '20 days')")


def test_accept_loss_means_the_aggregate_that_its_name_means(project: Project):
    second(project)
    accept = "-- tidelock: accept-loss flat: only that in public\nDROP MATERIALIZED VIEW public.flat;\n"
    project.write("001_x.sql", accept + "DROP MATERIALIZED VIEW ten.flat;")
    text = refused(project, "L042", "ten.flat: ", "accept-loss ten.flat")
    assert "\n    flat: " not in text
    project.write(
        "001_x.sql", accept + "DO $$ BEGIN EXECUTE 'DROP MATERIALIZED VIEW ten.' || quote_ident('flat'); END $$;"
    )
    refused(project, "L042", "ten.flat: ", "was rolled back")
    project.write("001_x.sql", accept)
    ok(project.apply())


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE raw RENAME TO old_raw; DROP TABLE old_raw CASCADE;",
        "ALTER TABLE raw RENAME COLUMN v TO v_old; ALTER TABLE raw DROP COLUMN v_old CASCADE;",
        "ALTER SCHEMA ten RENAME TO t2; DROP SCHEMA t2 CASCADE;",
        "CREATE SCHEMA x; ALTER TABLE raw SET SCHEMA x; DROP SCHEMA x CASCADE;",
        "CREATE SCHEMA x; ALTER MATERIALIZED VIEW hourly SET SCHEMA x; DROP SCHEMA x CASCADE;",
        "ALTER FUNCTION twice(double precision) RENAME TO thrice; DROP FUNCTION thrice CASCADE;",
        "DROP OPERATOR |+| (double precision, double precision) CASCADE;",
    ],
)
def test_what_has_another_name_by_then_is_found_before_anything_runs(project: Project, sql: str):
    if "ten" in sql or "twice" in sql or "|+|" in sql:
        project.query(TWICE)
        project.query(PLUS)
        second(project, "twice(sum(v) |+| 1)")
    refused_before(project, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE SCHEMA b; SET search_path = b; DROP TABLE IF EXISTS raw CASCADE; CREATE TABLE raw (i int);",
        "CREATE SCHEMA b; SET search_path = b, public; DROP TABLE IF EXISTS flat2 CASCADE;",
        "BEGIN; DROP MATERIALIZED VIEW hourly CASCADE; ROLLBACK;",
        "SAVEPOINT a; DROP MATERIALIZED VIEW hourly CASCADE; ROLLBACK TO a;",
        "BEGIN; SAVEPOINT a; SAVEPOINT b; DROP MATERIALIZED VIEW hourly CASCADE; ROLLBACK TO SAVEPOINT a; COMMIT;",
        "CREATE OR REPLACE TEMP VIEW hourly AS SELECT 1 AS bucket;",
    ],
)
def test_what_takes_nothing_is_let_through(project: Project, sql: str):
    second(project, name="ten.flat2")
    before = project.query("SELECT (SELECT count(*) FROM hourly), (SELECT count(*) FROM ten.flat2)")
    project.write("001_x.sql", sql)
    ok(project.apply())
    assert project.query("SELECT (SELECT count(*) FROM hourly), (SELECT count(*) FROM ten.flat2)") == before


def test_what_a_set_search_path_leads_to_is_found(project: Project):
    second(project, name="ten.flat2")
    refused_before(project, "SET search_path = ten, public; DROP MATERIALIZED VIEW flat2;", "L042", "ten.flat2: ")
    refused(project, "L042", "ten.flat2: ")


# --- what readers see, and what is in the catalog alone --------------------------------------------------------------

RULE = """CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO hourly DO INSTEAD
SELECT bucket, device, v FROM _timescaledb_internal._materialized_hypertable_2 LIMIT 10"""


def test_a_rule_is_as_good_as_a_view_to_replace_an_aggregate(project: Project):
    refused_before(project, f"{RULE};", "L044", "hourly")
    unread = RULE.replace("hourly", "' || quote_ident('hourly') || '")
    project.write("002_harm.sql", f"DO $$ BEGIN EXECUTE '{unread}'; END $$;")
    refused(project, "L044", "hourly", "was rolled back")


def test_the_views_that_the_server_writes_itself_are_no_replacement(project: Project):
    project.write(
        "001_x.sql",
        "DO $$ BEGIN EXECUTE 'ALTER MATERIALIZED VIEW hourly RENAME COLUMN v TO total'; END $$;\n"
        "DO $$ BEGIN EXECUTE 'ALTER MATERIALIZED VIEW hourly SET (timescaledb.materialized_only = true)'; END $$;\n"
        "DO $$ BEGIN EXECUTE 'ALTER TABLE raw RENAME TO readings'; END $$;",
    )
    ok(project.apply())


def test_a_default_of_an_earlier_file_is_forgotten_by_a_loop_and_neither_runs(project: Project):
    project.query("ALTER TABLE raw SET (timescaledb.compress, timescaledb.compress_segmentby = 'device')")
    project.query("SELECT compress_chunk(c) FROM show_chunks('raw', older_than => INTERVAL '5 days') c")
    project.write("001_before.sql", "ALTER TABLE raw ADD COLUMN five int NOT NULL DEFAULT 5;")
    project.write(
        "002_loop.sql",
        "DO $$ DECLARE c regclass; BEGIN FOR c IN SELECT show_chunks('raw') LOOP "
        "PERFORM reorder_chunk(c, 'raw_time_idx'); END LOOP; END $$;",
    )
    refused(project, "L046", "five of raw becomes NULL in 25 compressed chunks", "002_loop.sql:1")
    assert not project.query("SELECT 1 FROM pg_attribute WHERE attrelid = 'raw'::regclass AND attname = 'five'")


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT format('{REFRESH}(%L, NULL, NULL)', view_name) FROM timescaledb_information.continuous_aggregates \\gexec\n",
        "CALL p();",
    ],
)
def test_code_that_refreshes_in_a_transaction_is_not_sent_where_it_is_refused(project: Project, sql: str):
    project.query(f"CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN {REFRESH}('hourly', NULL, NULL); END $$")
    project.write("001_x.sql", sql)
    report = project.apply()
    assert report.failure is not None
    assert (report.failure.code, report.failure.exit_code) == ("D010", 5)
    assert "as a statement of its own" in report.failure.hint
    assert "no-transaction" not in report.failure.hint


# --- policies --------------------------------------------------------------------------------------------------------

ADD = "add_continuous_aggregate_policy"
POLICIES = "timescaledb_experimental.add_policies"
ALTER = """SELECT alter_job(job_id, config => config || '{{"start_offset": "{} days"}}')
  FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate'"""
OFFSETS = "INTERVAL '1 hour', INTERVAL '1 hour'"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"SELECT {ADD}('flat', NULL, {OFFSETS});", "flat: 150 buckets"),
        (f"SELECT {ADD}('flat', INTERVAL '60 days', {OFFSETS});", "its policy refreshes the last 60 days"),
        (f"SELECT {POLICIES}('flat', refresh_start_offset => NULL::interval, refresh_end_offset => NULL);", "flat: "),
        (f"SELECT {POLICIES}('flat', drop_after => INTERVAL '40 days');", "a policy that keeps 40 days"),
        ("SELECT drop_chunks('raw', INTERVAL '1 day');", "refreshes the last 2 days"),
        ("TRUNCATE raw;", "hourly: "),
        ("DELETE FROM raw;", "hourly: "),
        (
            "SELECT add_retention_policy('raw', drop_created_before => INTERVAL '1 day');",
            "1 day of raw rows are kept",
        ),
    ],
)  # fmt: skip
def test_a_policy_that_erases_at_its_next_run_is_refused_before_anything_runs(project: Project, sql: str, told: str):
    refused_before(project, sql, "L042", told)


@pytest.mark.parametrize(
    "sql",
    [
        f"DO $$ BEGIN EXECUTE 'SELECT ' || quote_ident('{ADD}') || format('(%L, NULL, interval %L, interval %L)', 'flat', '1 hour', '1 hour'); END $$;",
        ALTER.format(60),
        f"SELECT {ADD}('flat', (SELECT INTERVAL '60 days'), {OFFSETS});",
        "DO $$ BEGIN PERFORM add_retention_policy('hourly', INTERVAL '1 day' * 40); END $$;",
    ],
)
def test_one_that_nobody_can_read_is_refused_in_its_transaction(project: Project, sql: str):
    project.write("001_x.sql", sql)
    refused(project, "L056", "exist nowhere else", "was rolled back")
    project.write("001_x.sql", f"-- tidelock: accept-loss hourly: no\n-- tidelock: accept-loss flat: no\n{sql}")
    ok(project.apply())


def test_a_policy_that_spares_history_is_let_be(project: Project):
    project.write(
        "001_x.sql",
        f"SELECT {ADD}('flat', INTERVAL '20 days', {OFFSETS});\nSELECT drop_chunks('raw', INTERVAL '25 days');\n"
        f"{ALTER.format(3)} AND hypertable_name = 'hourly';",
    )
    ok(project.apply())


@pytest.mark.parametrize("rename", ["RENAME TO foo", "SET SCHEMA public"])
def test_a_chunk_of_an_aggregate_is_not_given_another_name(project: Project, rename: str):
    chunk = project.one(
        "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks "
        "WHERE hypertable_name = '_materialized_hypertable_2' ORDER BY range_start LIMIT 1"
    )
    name = "_timescaledb_internal.foo" if "foo" in rename else f"public.{chunk.rpartition('.')[2]}"
    refused_before(project, f"ALTER TABLE {chunk} {rename};\nDROP TABLE {name};", "L042", "hourly: ")


def test_a_chunk_that_an_internal_function_drops_is_missed(project: Project):
    chunk = project.one(
        "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks "
        "WHERE hypertable_name = '_materialized_hypertable_2' ORDER BY range_start LIMIT 1"
    )
    project.write("001_x.sql", f"SELECT _timescaledb_functions.drop_chunk('{chunk}');")
    refused(project, "L042", "hourly: ", "was rolled back")
