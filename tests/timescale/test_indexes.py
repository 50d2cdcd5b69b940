"""An index that a build chunk by chunk has left invalid is built again, and nothing hides it: on a real TimescaleDB."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import failed, ok
from tests.postgres.test_interruption import until

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rig.project import Project

TABLE = """
CREATE TABLE r (time timestamptz NOT NULL, device int, v double precision);
SELECT create_hypertable('r', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO r SELECT t, d, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-01-08', '1 hour') t, generate_series(1, 5) d;
"""
CHUNK = """
SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
 WHERE hypertable_name = 'r' ORDER BY range_start OFFSET {} LIMIT 1"""
PER_CHUNK = "WITH (timescaledb.transaction_per_chunk)"
VALID = """
SELECT bool_and(i.indisvalid AND i.indisready), count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE c.relname LIKE '%r_device_time_idx'"""


@pytest.fixture
def filled(project: Project) -> Project:
    project.write("001_r.sql", TABLE)
    ok(project.apply())
    return project


@contextmanager
def held(project: Project, done: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Somebody writes to the fourth chunk and reads the first, until it is done or the block is left.

    The build waits for the writer; taking back what it has built on the first chunk would wait for the reader.
    """
    first, chunk, left = project.one(CHUNK.format(0)), project.one(CHUNK.format(3)), threading.Event()
    with psycopg.connect(project.dsn) as conn:
        conn.execute(f"SELECT FROM {first} LIMIT 1".encode())
        conn.execute(f"INSERT INTO {chunk} VALUES ('2026-01-04 12:00', 99, 1)".encode())

        def end() -> None:
            while not done() and not left.wait(0.05):
                pass
            conn.rollback()

        thread = threading.Thread(target=end)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()


def spoil(project: Project) -> None:
    """Leave r_device_time_idx invalid, as a build that met a lock leaves it."""
    with held(project), psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute(f"CREATE INDEX r_device_time_idx ON r (device, time) {PER_CHUNK}".encode())
    assert project.query(VALID) == [(False, 4)]


def whole(project: Project) -> bool:
    """It is there, valid, on the hypertable and on each of the eight chunks."""
    return project.query(VALID) == [(True, 9)]


NAMED = f"CREATE INDEX IF NOT EXISTS r_device_time_idx ON r (device, time) {PER_CHUNK};"
STATEMENTS = [
    NAMED,
    f"CREATE INDEX r_device_time_idx ON r (device, time) {PER_CHUNK};",
    f"CREATE INDEX ON r (device, time) {PER_CHUNK};",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_lock_at_the_fourth_chunk_is_waited_for_and_the_index_is_whole(filled: Project, statement: str):
    filled.write("002_i.sql", f"-- tidelock: lock-timeout 300ms\n{statement}")

    def left() -> bool:
        return any("left for the next run" in text for text in filled.heard.texts(Happening.RECOVERED))

    with held(filled, left):
        ok(filled.apply(wait="60s"))
    assert left()
    assert whole(filled)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_when_patience_ends_there_the_next_run_builds_it_anew(filled: Project, statement: str):
    filled.write("002_i.sql", f"-- tidelock: lock-timeout 300ms\n{statement}")
    with held(filled):
        failed(filled.apply(wait="1s"), "T020", 75)
        failed(filled.apply(wait="1s"), "T020", 75)
    assert not whole(filled)
    ok(filled.apply())
    assert whole(filled)


@pytest.mark.parametrize("statement", [NAMED, "CREATE INDEX IF NOT EXISTS r_device_time_idx ON r (device, time);"])
def test_if_not_exists_does_not_hide_one_that_another_has_left(filled: Project, statement: str):
    spoil(filled)
    filled.write("002_other.sql", f"ALTER TABLE r ADD COLUMN k int;\n{statement}\nALTER TABLE r ADD COLUMN l int;")
    ok(filled.apply())
    assert whole(filled)
    assert any("invalid" in text for text in filled.heard.texts(Happening.RECOVERED))
    assert ok(filled.apply()).applied == ()


def test_if_not_exists_hides_it_when_it_is_simply_sent(filled: Project):
    spoil(filled)
    filled.query("CREATE INDEX IF NOT EXISTS r_device_time_idx ON r (device, time)")
    filled.query(NAMED)
    assert not whole(filled)


def test_an_index_that_is_whole_stays(filled: Project):
    filled.query(NAMED)
    spoiled = "SELECT 'r_device_time_idx'::regclass::oid"
    before = filled.one(spoiled)
    filled.write("002_other.sql", "CREATE INDEX IF NOT EXISTS r_device_time_idx ON r (device, time);")
    ok(filled.apply())
    assert filled.one(spoiled) == before


def test_verify_names_it_with_sql_that_mends_it(filled: Project):
    spoil(filled)
    filled.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r_time_idx'::regclass")
    done = filled.tidelock("verify", "--json")
    assert done.returncode == 8, done.stderr
    checks = json.loads(done.stdout)["checks"]
    flaws = [each for one in checks for each in one["flaws"] if "is invalid" in each["what"]]
    assert len(flaws) == 2
    assert {name for name in ("r_device_time_idx", "r_time_idx") for each in flaws if name in each["what"]} == {
        "r_device_time_idx", "r_time_idx",
    }  # fmt: skip
    for each in flaws:
        assert PER_CHUNK in each["mend"]
        for statement in filter(None, map(str.strip, each["mend"].split(";"))):
            filled.query(statement)
    assert whole(filled)
    assert filled.tidelock("verify").returncode == 0


def test_one_that_is_being_built_is_no_flaw(filled: Project):
    with psycopg.connect(filled.dsn, autocommit=True) as conn:
        thread = threading.Thread(target=lambda: conn.execute(NAMED.encode()))
        with held(filled):
            thread.start()
            until(lambda: filled.query(VALID) == [(False, 4)])
            found = filled.tidelock("verify", "--json")
        thread.join()
    assert "invalid: queries" not in found.stdout
    assert whole(filled)
