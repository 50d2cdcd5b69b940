"""ALTER EXTENSION timescaledb UPDATE from an older version, over aggregates whose history exists nowhere else.

Needs a server on which two versions are installed side by side.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import TIMESCALE
from tests.postgres.test_apply import ok
from tests.rig.project import Project
from tests.rig.requirement import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Older ones are not read (D032).
VERSIONS = """
SELECT version FROM (
  SELECT v.version, string_to_array(substring(v.version from '^[0-9.]+'), '.')::int[] AS numbers,
         string_to_array(substring(default_version from '^[0-9.]+'), '.')::int[] AS newest
    FROM pg_available_extension_versions v JOIN pg_available_extensions e USING (name) WHERE name = 'timescaledb') known
 WHERE numbers < newest AND numbers >= '{2,15}' ORDER BY numbers"""
DEFAULT = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
START = """
CREATE TABLE r (time timestamptz NOT NULL, device int NOT NULL, v int);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
ALTER TABLE r SET (timescaledb.compress, timescaledb.compress_segmentby = 'device');
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v FROM r GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', bucket) AS bucket, device, sum(v) AS v FROM hourly GROUP BY 1, 2 WITH NO DATA;
SELECT add_continuous_aggregate_policy('hourly', INTERVAL '3 days', INTERVAL '1 hour', INTERVAL '1 hour');
SELECT add_retention_policy('r', INTERVAL '30 days');
"""
FILL = """
INSERT INTO r SELECT t, d, 1 FROM generate_series(date_trunc('day', now()) - INTERVAL '60 days', now(), '10 minutes') t,
  generate_series(1, 3) d;
CALL refresh_continuous_aggregate('hourly', NULL, NULL);
CALL refresh_continuous_aggregate('daily', NULL, NULL);
SELECT drop_chunks('r', INTERVAL '20 days');
SELECT count(compress_chunk(c)) FROM show_chunks('r', older_than => INTERVAL '10 days') c
"""
AGAIN = """-- tidelock: rebuild hourly
DROP MATERIALIZED VIEW hourly CASCADE;
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, sum(v) AS v, max(v) AS most FROM r GROUP BY 1, 2;
"""
STATE = """
SELECT (SELECT (count(*), sum(v)) FROM hourly), (SELECT (count(*), sum(v)) FROM daily), (SELECT (count(*), sum(v)) FROM r),
       (SELECT array_agg((proc_name, config - 'mat_hypertable_id' - 'hypertable_id')::text ORDER BY 1)
          FROM (SELECT * FROM timescaledb_information.jobs WHERE job_id >= 1000 ORDER BY proc_name) j)"""


@pytest.fixture(params=["the oldest", "the one before"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Project, str, str]]:
    """A database at an older version, filled; its version, and the newest there is."""
    server = os.environ.get(TIMESCALE)
    if not server:
        missing("TimescaleDB", f"set {TIMESCALE} to the DSN of a server that has it", package=False)
    with psycopg.connect(server, autocommit=True) as admin:
        versions = [version for (version,) in admin.execute(VERSIONS)]
        [newest] = admin.execute(DEFAULT).fetchone() or ("",)
        if not versions:
            missing("an older TimescaleDB", f"install one beside {newest}, for the same server", package=False)
        version = versions[0 if request.param == "the oldest" else -1]
        name = f"tl_update_{uuid.uuid4().hex[:8]}"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            (folder := tmp_path / "migrations").mkdir()
            project = Project(folder, make_conninfo(server, dbname=name))
            project.query(f"CREATE EXTENSION timescaledb VERSION '{version}'")
            project.write("001_start.sql", START)
            ok(project.apply())
            for each in FILL.split(";\n"):
                project.query(each)
            yield project, version, newest
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def extension(project: Project) -> Any:
    return project.one("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")


def test_an_update_keeps_history_and_the_files_after_it_run_on_the_new_version(older: tuple[Project, str, str]):
    project, version, newest = older
    before = project.query(STATE)
    assert extension(project) == version
    project.write("002_k.sql", "ALTER TABLE r ADD COLUMN k int;")
    project.write("003_update.sql", "ALTER EXTENSION timescaledb UPDATE;")
    project.write("004_index.sql", "CREATE INDEX ON hourly (v);")
    report = ok(project.apply())
    assert [each.version for each in report.applied] == [2, 3, 4]
    assert extension(project) == newest
    assert project.query(STATE) == before
    project.write("005_again.sql", AGAIN)
    ok(project.apply())
    assert project.query(STATE) == before
    assert project.tidelock("aggregates", "list").returncode == 0


def test_an_update_in_the_midst_of_a_file_and_a_rebuild_after_it_in_one_run(older: tuple[Project, str, str]):
    project, _, newest = older
    before = project.query(STATE)
    project.write(
        "002_update.sql",
        "SELECT count(*) FROM hourly;\nALTER EXTENSION timescaledb UPDATE;\nSELECT count(*) FROM hourly;\n"
        "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '5 days', NULL);",
    )
    project.write("003_again.sql", AGAIN)
    ok(project.apply())
    assert extension(project) == newest
    assert project.query(STATE) == before
    assert project.one("SELECT count(*) FROM hourly WHERE most IS NULL") > 1000  # what raw data no longer gives


def test_a_drop_is_refused_at_the_old_version_and_after_the_update_in_one_plan(older: tuple[Project, str, str]):
    project, version, _ = older
    project.write("002_update.sql", "ALTER EXTENSION timescaledb UPDATE;")
    project.write("003_drop.sql", "DROP MATERIALIZED VIEW hourly CASCADE;")
    failure = project.apply().failure
    assert failure is not None
    assert failure.code == "L042"
    assert extension(project) == version
