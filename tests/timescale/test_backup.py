"""A backup of a database with hypertables, compressed chunks, aggregates with history and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict
from tests.backup.conftest import Place, without_leftovers
from tests.rig.project import Project
from tests.timescale.test_snapshot import RICH, execute

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = """
INSERT INTO metrics.readings SELECT t, 'd' || d, extract(hour FROM t) + d FROM generate_series(now() - interval '40 days', now(), '30 minutes') t, generate_series(1, 5) d;
CALL refresh_continuous_aggregate('metrics.hourly', NULL, NULL);
CALL refresh_continuous_aggregate('metrics.daily', NULL, NULL);
SELECT compress_chunk(c) FROM show_chunks('metrics.readings', older_than => interval '20 days') c;
SELECT drop_chunks('metrics.readings', older_than => interval '30 days');
INSERT INTO metrics.numbered SELECT i, i FROM generate_series(1, 5000) i;
"""
ROWS = """
SELECT (SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM metrics.readings r),
       (SELECT count(*) FROM metrics.readings), (SELECT count(*) FROM metrics.numbered),
       (SELECT md5(string_agg(h::text, ',' ORDER BY h::text)) FROM metrics.hourly h), (SELECT count(*) FROM metrics.hourly),
       (SELECT md5(string_agg(h::text, ',' ORDER BY h::text)) FROM metrics.daily h)"""
CHUNKS = """
SELECT hypertable_name, chunk_name, range_start, range_end, range_start_integer, is_compressed
  FROM timescaledb_information.chunks ORDER BY 1, 2"""
JOBS = """
SELECT job_id, proc_name, schedule_interval, config, scheduled, hypertable_name, max_runtime
  FROM timescaledb_information.jobs WHERE job_id >= 1000 ORDER BY 1"""


def test_hypertables_aggregates_with_history_and_policies_come_back(timescale_dsn: str, tmp_path: Path) -> None:
    execute(timescale_dsn, RICH)
    execute(timescale_dsn, HISTORY)
    parts = conninfo_to_dict(timescale_dsn)
    url = f"postgresql://{parts.get('user', 'postgres')}@{parts['host']}:{parts.get('port', 5432)}/{parts['dbname']}"
    place = Place(str(tmp_path / "store"), tmp_path / "store")
    for farm in without_leftovers(Project(tmp_path, url), place):
        before = [farm.project.query(each) for each in (ROWS, CHUNKS, JOBS)]
        assert any(row[-1] for row in before[1]), "some chunks are compressed"
        farm.create()
        farm.project.query("DELETE FROM metrics.readings WHERE time > now() - interval '1 day'")
        done = farm.well("restore", "--yes")
        assert [farm.project.query(each) for each in (ROWS, CHUNKS, JOBS)] == before
        farm.project.query("INSERT INTO metrics.readings VALUES (now() + interval '3 days', 'new', 1)")
        farm.project.query("CALL refresh_continuous_aggregate('metrics.hourly', NULL, NULL)")
        assert done["old"] in farm.databases()
