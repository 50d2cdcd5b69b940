"""Ways to lose what exists only in an aggregate that a black-box examination found open, each of them closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.postgres.test_apply import ok
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
    job = project.one("SELECT add_continuous_aggregate_policy('flat', NULL, INTERVAL '1 day', INTERVAL '1 day')")
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
