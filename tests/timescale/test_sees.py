"""What `aggregates list` and `verify` tell of a real TimescaleDB."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import conninfo
from tests.docs.test_json import check

from tidelock.cli import aggregates as verb
from tidelock.cli.wiring import Asked, database_of, targets
from tidelock.core.aggregates import Stock
from tidelock.render import aggregates as render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.postgres import Server
    from tests.rig.project import Project

RAW = (
    "CREATE TABLE r (at timestamptz NOT NULL, d int, v double precision)",
    "SELECT create_hypertable('r', by_range('at', INTERVAL '1 day'))",
    "INSERT INTO r SELECT t, 1, 1 FROM generate_series(date_trunc('hour', now()) - INTERVAL '60 days', now(), '1 hour') t",
)
HOURLY = (
    (
        "CREATE MATERIALIZED VIEW h WITH (timescaledb.continuous) AS "
        "SELECT time_bucket('1 hour', at) AS b, d, sum(v) AS s FROM r GROUP BY 1, 2 WITH NO DATA"
    ),
    "CALL refresh_continuous_aggregate('h', NULL, NULL)",
)
FLAWED = (
    "SELECT add_retention_policy('r', INTERVAL '30 days', initial_start => now() + INTERVAL '1 year')",
    (
        "SELECT add_continuous_aggregate_policy('h', INTERVAL '45 days', INTERVAL '1 hour', INTERVAL '1 hour', "
        "initial_start => now() + INTERVAL '1 year', timezone => 'Europe/Berlin')"
    ),
)
ON = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_{}'"


def do(project: Project, *statements: str) -> None:
    for each in statements:
        project.query(each)


def listed(project: Project, *more: str) -> dict[str, Any]:
    ended = project.tidelock("aggregates", "list", "--json", *more)
    assert ended.returncode == 0, ended.stderr
    return check("aggregates-list", ended.stdout)


def flaws(project: Project, name: str) -> list[dict[str, str]]:
    ended = project.tidelock("verify", "--json")
    assert ended.stdout, ended.stderr
    found = check("verify", ended.stdout)
    [of] = [each for each in found["checks"] if each["name"] == name]
    assert ended.returncode == (0 if found["ok"] else 8)
    return of["flaws"]  # type: ignore[no-any-return]


@pytest.fixture
def reader(project: Project) -> Iterator[str]:
    """A role that owns nothing, and its way to the database."""
    name = "sees_reader"
    do(project, f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN")
    yield conninfo.make_conninfo(project.dsn, user=name)
    do(project, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_an_aggregate_is_told_with_what_exists_nowhere_else(project: Project):
    do(project, *RAW, *HOURLY, *FLAWED, "SELECT drop_chunks('r', older_than => now() - INTERVAL '30 days')")
    do(
        project,
        "CREATE MATERIALIZED VIEW day WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS "
        "SELECT time_bucket('1 day', b) AS b, sum(s) AS s FROM h GROUP BY 1 WITH NO DATA",
    )
    found = listed(project)
    [hourly, daily] = found["aggregates"]
    assert (hourly["hypertable"], hourly["parent"], hourly["bucket"], hourly["real_time"]) == (
        "public.r",
        None,
        "01:00:00",
        False,
    )
    assert (daily["hypertable"], daily["parent"], daily["real_time"], daily["materialized"]) == (
        "public.r",
        "public.h",
        True,
        None,
    )
    kept = project.one("SELECT count(*) FROM h WHERE b < (SELECT min(at) FROM r)")
    assert hourly["only_here"]["buckets"] == hourly["only_here"]["rows"] == kept > 600
    assert hourly["size_bytes"] > 0
    [refresh] = hourly["jobs"]
    assert (refresh["kind"], refresh["config"]["start_offset"], refresh["last_success"]) == ("refresh", "45 days", None)
    [raw] = found["hypertables"]
    assert raw["chunks"] == project.one("SELECT count(*) FROM show_chunks('r')")
    assert [each["kind"] for each in raw["jobs"]] == ["retention"]
    shown = project.tidelock("aggregates", "list").stdout
    assert f"only here     {kept} buckets, {kept} rows, " in shown
    assert "refresh       from 45 days back to 1 hour back, every 1 hour; has not run yet" in shown
    assert "day  from h (of r) · bucket 1 day · real-time" in shown
    assert "✗ public.h: its refresh" in shown
    assert "SELECT alter_job(" in shown


def test_a_policy_erodes_and_with_the_printed_sql_it_does_not(project: Project):
    """Two aggregates of the same rows, with the same policy; one of them is mended."""
    do(project, *RAW, *HOURLY, *FLAWED)
    do(project, *(each.replace(" h ", " mended ").replace("'h'", "'mended'") for each in (*HOURLY, FLAWED[1])))
    [[flaw], [its]] = [each["flaws"] for each in listed(project)["aggregates"]]
    assert flaws(project, "refresh within retention") == [flaw, its]
    retention, *refreshes = (
        number for (number,) in project.query("SELECT id FROM _timescaledb_config.bgw_job WHERE id >= 1000 ORDER BY id")
    )
    job = f"SELECT to_jsonb(j) - 'config' FROM _timescaledb_config.bgw_job j WHERE id = {refreshes[1]}"
    kept = project.one(job)
    do(project, its["mend"])
    assert project.one(job) == kept
    assert kept["timezone"] == "Europe/Berlin"
    assert flaws(project, "refresh within retention") == [flaw]
    before = project.one("SELECT count(*) FROM h")
    do(project, f"CALL run_job({retention})", *(f"CALL run_job({each})" for each in refreshes))
    assert before - project.one("SELECT count(*) FROM h") > 300
    assert project.one("SELECT count(*) FROM mended") == before


def test_a_policy_over_rows_that_are_gone_without_retention_is_told_before_its_next_run(project: Project):
    do(
        project,
        *RAW,
        *HOURLY,
        "SELECT add_continuous_aggregate_policy('h', NULL, INTERVAL '1 hour', INTERVAL '1 day', initial_start => now() + INTERVAL '1 day')",
        "SELECT drop_chunks('r', INTERVAL '5 days')",
    )
    [[flaw]] = [each["flaws"] for each in listed(project)["aggregates"]]
    assert "the next refresh (job " in flaw["what"]
    assert "that exist nowhere else" in flaw["what"]
    assert flaws(project, "refresh within retention") == [flaw]
    before = project.one("SELECT count(*) FROM h")
    do(project, flaw["mend"])
    assert flaws(project, "refresh within retention") == []
    do(
        project,
        *(
            f"CALL run_job({number})"
            for (number,) in project.query(
                "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate'"
            )
        ),
    )
    assert project.one("SELECT count(*) FROM h") == before


def test_a_job_that_failed_is_told_with_its_error(project: Project):
    do(
        project,
        "CREATE PROCEDURE broken(job_id int, config jsonb) LANGUAGE plpgsql AS $$ BEGIN RAISE 'no % left', 'tea'; END $$",
        "SELECT add_job('broken', '1 year')",
    )
    job = project.one("SELECT max(job_id) FROM timescaledb_information.jobs")
    until = "SELECT count(*) FROM timescaledb_information.job_stats WHERE job_id = %s AND last_run_status = 'Failed'"
    for _ in range(300):
        if project.one(until, job):
            break
        project.query("SELECT pg_sleep(0.1)")
    error = project.one("SELECT err_message FROM timescaledb_information.job_errors ORDER BY start_time DESC LIMIT 1")
    [flaw] = flaws(project, "background jobs")
    assert flaw["what"].startswith(f"the last run of job {job} (public.broken) failed, ")
    assert flaw["what"].endswith(f": {error}")
    shown = project.tidelock("aggregates", "list").stdout
    assert "other jobs    public.broken " in shown


def test_a_job_that_a_run_put_off_and_forgot_is_told(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    do(project, *RAW, *HOURLY, *FLAWED)
    project.apply()
    job = project.one(ON.format("retention"))
    given = project.one(
        f"SELECT to_jsonb(next_start) #>> '{{}}' FROM alter_job({job}, next_start => now() + '3 hours')"
    )
    detail = json.dumps({"jobs": {str(job): {"was": "2026-01-01T00:00:00+00:00", "set": given}}})
    line = "INSERT INTO schema_migrations_journal (run_id, event, version, detail) VALUES ('x', %s, 1, %s)"
    project.query(line, "quieted", detail)
    [flaw] = flaws(project, "jobs that a run put off")
    assert flaw["what"].startswith(f"job {job} (retention of public.r) was put off by a run that has not put it back")
    do(project, flaw["mend"])
    assert flaws(project, "jobs that a run put off") == []


def test_a_default_over_compressed_chunks_is_told_until_it_is_written_down(project: Project):
    do(
        project,
        *RAW,
        "ALTER TABLE r SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'd')",
        "SELECT compress_chunk(ch) FROM show_chunks('r', older_than => now() - INTERVAL '50 days') ch",
    )
    assert flaws(project, "defaults over compressed chunks") == []
    do(project, "ALTER TABLE r ADD COLUMN extra int NOT NULL DEFAULT 5")
    [flaw] = flaws(project, "defaults over compressed chunks")
    assert flaw["what"].startswith("extra of public.r: in 10 compressed chunks")
    do(project, flaw["mend"])
    assert flaws(project, "defaults over compressed chunks") == []
    chunk = project.one("SELECT min(ch::text) FROM show_chunks('r', older_than => now() - INTERVAL '50 days') ch")
    do(project, f"VACUUM FULL {chunk}")
    assert project.one(f"SELECT count(*) FILTER (WHERE extra IS NULL) FROM {chunk}") == 0


@pytest.mark.parametrize("where", ["", " WITH (fillfactor = 80) WHERE v > 0"])
def test_an_invalid_index_of_a_hypertable_has_sql_that_a_hypertable_takes(project: Project, where: str):
    do(project, *RAW, f"CREATE INDEX r_d ON r (d){where}")
    do(project, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r_d'::regclass")
    assert flaws(project, "invalid indexes") == []
    [flaw] = flaws(project, "invalid indexes of hypertables")
    assert "transaction_per_chunk" in flaw["mend"]
    do(project, *flaw["mend"].split("; "))
    assert flaws(project, "invalid indexes of hypertables") == []
    assert project.one("SELECT count(*) FROM pg_indexes WHERE indexname LIKE '%r_d'") == 1 + project.one(
        "SELECT count(*) FROM show_chunks('r')"
    )


def test_a_view_that_was_written_over_is_told(project: Project):
    do(
        project,
        *RAW,
        *HOURLY,
        "CREATE TABLE device (d int PRIMARY KEY, name text)",
        "CREATE MATERIALIZED VIEW live WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS "
        "SELECT time_bucket('1 hour', at, 'Europe/Berlin') AS \"the hour\", name, sum(v) AS s, count(*) FROM r "
        "JOIN device USING (d) WHERE v > 0 OR r.d > 5 GROUP BY 1, 2 HAVING count(*) > 3 WITH NO DATA",
        "CREATE MATERIALIZED VIEW above WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS "
        "SELECT time_bucket('1 day', b) AS b, sum(s) AS s FROM h GROUP BY 1 WITH NO DATA",
        'ALTER MATERIALIZED VIEW h RENAME COLUMN s TO "Sum"',
        "CREATE SCHEMA other",
        "ALTER TABLE r SET SCHEMA other",
    )
    assert flaws(project, "views of aggregates") == []
    do(
        project,
        'CREATE OR REPLACE VIEW h AS SELECT b, d, "Sum" FROM _timescaledb_internal._materialized_hypertable_2 LIMIT 9',
    )
    [flaw] = flaws(project, "views of aggregates")
    assert flaw["what"].startswith("the view public.h is not the one of its aggregate")
    do(project, flaw["mend"])
    assert flaws(project, "views of aggregates") == []
    assert project.one("SELECT count(*) FROM h") > 1000


@pytest.mark.parametrize(
    "over",
    [
        "{definition} LIMIT 5",
        "SELECT b, d, s FROM _timescaledb_internal._materialized_hypertable_2 LIMIT 5",
        "SELECT at AS b, d, v AS s FROM r",
    ],
)
def test_a_real_time_view_that_was_written_over_is_told(project: Project, over: str):
    """Changing materialized_only of the second and the third as they are crashes the server."""
    do(project, *RAW, HOURLY[0].replace("continuous)", "continuous, timescaledb.materialized_only = false)"))
    definition = project.one("SELECT pg_get_viewdef('h'::regclass)")
    do(project, f"CREATE OR REPLACE VIEW h AS {over.format(definition=definition.rstrip(';'))}")
    [flaw] = flaws(project, "views of aggregates")
    do(project, flaw["mend"])
    assert project.one("SELECT pg_get_viewdef('h'::regclass)") == definition
    assert flaws(project, "views of aggregates") == []


def test_a_view_with_a_column_of_its_own_cannot_be_written_back(project: Project):
    do(project, *RAW, *HOURLY)
    do(project, "CREATE OR REPLACE VIEW h AS SELECT *, 1 AS one FROM _timescaledb_internal._materialized_hypertable_2")
    [flaw] = flaws(project, "views of aggregates")
    assert flaw["mend"].startswith("-- one: no column of the aggregate")


def test_what_a_role_may_not_read_is_said_by_name(project: Project, reader: str):
    do(project, *RAW, *HOURLY)
    ended = project.tidelock("aggregates", "list", "--json", "--database", reader, where=False)
    assert ended.returncode == 0, ended.stderr
    [found] = check("aggregates-list", ended.stdout)["aggregates"]
    assert (found["materialized"], found["only_here"]) == (None, None)
    assert found["not_readable"][:2] == ["_timescaledb_internal._materialized_hypertable_2", "public.r"]
    shown = project.tidelock("aggregates", "list", "--database", reader, where=False).stdout
    assert "materialized  not known" in shown
    assert "not known     this role may not read _timescaledb_internal._materialized_hypertable_2, public.r" in shown


def test_what_a_role_may_not_look_at_is_no_flaw_and_is_said(project: Project, reader: str):
    do(
        project,
        *RAW,
        *HOURLY,
        "ALTER TABLE r SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'd')",
        "SELECT compress_chunk(ch) FROM show_chunks('r', older_than => now() - INTERVAL '50 days') ch",
        "ALTER TABLE r ADD COLUMN extra int DEFAULT 5",
        "CREATE SCHEMA secret",
        "ALTER MATERIALIZED VIEW h SET SCHEMA secret",
    )
    ended = project.tidelock("verify", "--dir", str(project.folder), "--database", reader, where=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 aggregates; this role may not look at secret.h" in ended.stdout
    assert "10 compressed chunks; this role may not look at public.r" in ended.stdout
    ended = project.tidelock("aggregates", "list", "--database", reader, where=False)
    assert ended.returncode == 0, ended.stderr


def test_names_that_need_quotes_are_no_trouble(project: Project):
    do(
        project,
        'CREATE SCHEMA "My Schema"',
        'CREATE TABLE "My Schema"."Raw ""x" ("At" timestamptz NOT NULL, v int)',
        'SELECT create_hypertable(\'"My Schema"."Raw ""x"\', by_range(\'At\'))',
        'INSERT INTO "My Schema"."Raw ""x" VALUES (now(), 1)',
        'CREATE MATERIALIZED VIEW "My Schema"."Hour x" WITH (timescaledb.continuous) AS '
        'SELECT time_bucket(\'1 hour\', "At") AS "B x", sum(v) FROM "My Schema"."Raw ""x" GROUP BY 1',
    )
    assert listed(project)["aggregates"][0]["name"] == '"My Schema"."Hour x"'
    ended = project.tidelock("verify")
    assert ended.returncode == 0, ended.stdout


def test_the_apache_edition_is_said():
    """A server has one edition for all its databases; that `look` sees it is tested where there is one."""
    shown = render.text("db@host", Stock(version="2.28.3", community=False))
    assert (
        shown == "db@host  TimescaleDB 2.28.3, Apache edition: no aggregates, no policies  0 aggregates, 0 hypertables"
    )


def test_on_a_terminal_it_is_a_table(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "220")
    do(project, *RAW, *HOURLY, *FLAWED)
    from tidelock.cli.terminal import show_aggregates

    asked = Asked(database=[project.dsn], directory=project.folder)
    [target] = targets(asked)
    database = database_of(target, asked, project.heard)
    try:
        show_aggregates(database.target, verb.looked_at(database))
    finally:
        database.close()
    shown = capsys.readouterr().out
    assert "raw data since" in shown
    assert "    SELECT alter_job(job_id, " in shown


def test_verify_on_plain_postgresql_knows_nothing_of_timescale(project: Project, cluster: Server):
    """Nothing of it is imported, and `aggregates list` says what is missing."""
    del project
    code = (
        "import sys; from tidelock.cli.main import main\n"
        "try: main()\nexcept SystemExit as end: print(end.code)\n"
        "print([m for m in sys.modules if m.startswith('tidelock.timescale') or m == 'tidelock.core.aggregates'])"
    )
    for words, said in (
        (["verify"], ""),
        (["aggregates", "list"], "the extension timescaledb is not in this database"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", code, *words, "--database", cluster.dsn],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert said in ended.stdout
        assert "tidelock.timescale" not in ended.stdout
