"""A backup of a database with hypertables, compressed chunks, aggregates with history and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.backup.conftest import Place, without_leftovers
from tests.backup.test_rows import copied, quiet
from tests.rig.project import Project
from tests.timescale.test_snapshot import RICH, execute

from tidelock.backup import compare, source
from tidelock.backup.create import Wanted, create
from tidelock.backup.seal import Seal
from tidelock.backup.store import Store
from tidelock.postgres.address import address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


def test_large_chunks_are_loaded_side_by_side(
    timescale_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(timescale_dsn, RICH)
    execute(timescale_dsn, HISTORY)
    monkeypatch.setattr(source, "MIXED_GROUP_BYTES", 1)
    name = f"{conninfo_to_dict(timescale_dsn)['dbname']}_copy"
    copy = make_conninfo(timescale_dsn, dbname=name)
    try:
        made = copied(timescale_dsn, name, tmp_path / "store")
        assert sum(each.what == "tables" for each in made.pieces) > 10
        assert not any(each.what == "rows" for each in made.pieces), "what a chunk shows is not what it holds"
        with psycopg.connect(timescale_dsn) as one, psycopg.connect(copy) as other:
            for each in (ROWS, CHUNKS, JOBS):
                assert other.execute(each).fetchall() == one.execute(each).fetchall()
    finally:
        with psycopg.connect(timescale_dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def test_what_was_written_since_is_told_of_hypertables_and_not_of_chunks(timescale_dsn: str, tmp_path: Path) -> None:
    execute(timescale_dsn, RICH)
    execute(timescale_dsn, HISTORY)
    server = PostgresServer(address(timescale_dsn))
    made = create(server, Store(str(tmp_path / "store")), Wanted(seal=Seal()), quiet())
    assert compare.written_since(server, made) == []
    execute(
        timescale_dsn, "INSERT INTO metrics.readings VALUES (now() + interval '30 days', 'new', 1), (now(), 'new', 1);"
    )
    execute(timescale_dsn, "CREATE TABLE later AS SELECT 1 AS i;")
    told = {table: (then, now) for table, then, now in compare.written_since(server, made)}
    assert set(told) == {'"metrics"."readings"', '"public"."later"'}
    then, now = told['"metrics"."readings"']
    assert now - (then or 0) == 2
    assert told['"public"."later"'] == (None, 1)


PLAIN = """
CREATE TABLE h (time timestamptz NOT NULL, v int);
SELECT create_hypertable('h', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO h SELECT timestamptz '2026-01-01 UTC' + g * INTERVAL '1 hour', g FROM generate_series(0, 71) g;
ALTER TABLE h SET (timescaledb.compress);
"""


def test_a_chunk_that_was_compressed_since_is_not_told_as_gone(timescale_dsn: str, tmp_path: Path) -> None:
    execute(timescale_dsn, PLAIN)
    server = PostgresServer(address(timescale_dsn))
    made = create(server, Store(str(tmp_path / "store")), Wanted(seal=Seal()), quiet())
    execute(timescale_dsn, "SELECT compress_chunk(c) FROM show_chunks('h', older_than => '2026-01-02'::timestamptz) c;")
    assert compare.written_since(server, made) == []
    execute(timescale_dsn, "INSERT INTO h VALUES ('2026-01-03 12:30 UTC', 1);")
    assert compare.written_since(server, made) == [('"public"."h"', 48, 49)]


ADDED = """
CREATE TABLE h (time timestamptz NOT NULL, dev int, v float);
SELECT create_hypertable('h', 'time');
INSERT INTO h SELECT timestamptz '2025-01-01 UTC' + g * interval '10 min', g % 7, g FROM generate_series(1, 10000) g;
ALTER TABLE h SET (timescaledb.compress, timescaledb.compress_segmentby = 'dev');
SELECT compress_chunk(c) FROM show_chunks('h') c;
CREATE TYPE "ki nd" AS ENUM ('a', 'it''s');
ALTER TABLE h ADD COLUMN unit text NOT NULL DEFAULT 'kWh', ADD COLUMN "Pa rts" int[] DEFAULT '{1,NULL,3}',
    ADD COLUMN kind "ki nd" DEFAULT 'it''s', ADD COLUMN since timestamptz DEFAULT '1999-12-31 23:00+02',
    ADD COLUMN empty text DEFAULT '';
ALTER TABLE h ALTER COLUMN unit SET DEFAULT 'MWh';
INSERT INTO h SELECT timestamptz '2025-06-01 UTC' + g * interval '10 min', g % 7, g FROM generate_series(1, 100) g;
"""
VALUES = """
SELECT unit, "Pa rts", kind, since = '1999-12-31 23:00+02', empty, count(*) FROM h GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2"""


def test_a_column_that_was_added_with_a_default_over_compressed_chunks_keeps_it(
    timescale_dsn: str, tmp_path: Path
) -> None:
    execute(timescale_dsn, ADDED)
    parts = conninfo_to_dict(timescale_dsn)
    url = f"postgresql://{parts.get('user', 'postgres')}@{parts['host']}:{parts.get('port', 5432)}/{parts['dbname']}"
    place = Place(str(tmp_path / "store"), tmp_path / "store")
    for farm in without_leftovers(Project(tmp_path, url), place):
        before = farm.project.query(VALUES)
        assert {row[-1] for row in before} == {10000, 100}
        farm.project.query(f"ALTER DATABASE {parts['dbname']} SET datestyle TO 'german'")
        farm.create()
        farm.well("restore", "--yes", "--drop-old")
        assert farm.project.query(VALUES) == before
        farm.project.query("UPDATE h SET v = 0 WHERE dev = 3; SELECT decompress_chunk(c, true) FROM show_chunks('h') c")
        assert farm.project.query(VALUES) == before
