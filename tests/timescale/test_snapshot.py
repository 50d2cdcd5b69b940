"""The snapshot of a schema with hypertables, continuous aggregates and jobs."""

from __future__ import annotations

import os
import re
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo
from tests.conftest import TIMESCALE
from tests.rig.project import Project

from tidelock.core.ddl.document import text
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.snapshot import Snapshot

RICH = (Path(__file__).parent / "rich.sql").read_text(encoding="utf-8")
EXAMPLE = Path(__file__).parents[2] / "examples" / "telemetry" / "migrations"


def execute(dsn: str, script: str) -> None:
    """As psql does: each statement by itself."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(b"SET client_min_messages = error")
        for statement in re.split(r";\n", script):
            if re.sub(r"--.*", "", statement).strip():
                until_done(conn, statement)


def until_done(conn: psycopg.Connection[Any], statement: str) -> None:
    """Again while the job of a policy, which begins when it is made, refreshes the same aggregate."""
    for _ in range(60):
        try:
            conn.execute(statement.encode())
        except psycopg.errors.LockNotAvailable:
            time.sleep(0.5)
        else:
            return
    conn.execute(statement.encode())


def snapshot(dsn: str) -> Snapshot:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return take(conn)


@contextmanager
def empty_database() -> Iterator[str]:
    """One without the extension."""
    server, name = os.environ[TIMESCALE], f"tl_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def rebuilt(taken: Snapshot) -> Snapshot:
    with empty_database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(text(taken).encode())  # one query, as psql -1 would
        return snapshot(dsn)


def test_it_tells_of_everything_and_of_no_generated_name(timescale_dsn: str):
    execute(timescale_dsn, RICH)
    taken = snapshot(timescale_dsn)
    assert {kind for kind, _ in taken.objects} >= {"hypertable", "continuous aggregate", "job", "index"}
    assert not re.search(rb"_materialized_hypertable|_hyper_\d|_compressed|hypertable_id|job_id\"", taken.to_json())


def test_as_sql_in_an_empty_database_it_gives_the_same_bytes(timescale_dsn: str):
    execute(timescale_dsn, RICH)
    taken = snapshot(timescale_dsn)
    assert rebuilt(taken).to_json().decode() == taken.to_json().decode()


def test_apply_takes_it_as_a_migration(timescale_dsn: str, tmp_path: Path):
    execute(timescale_dsn, RICH)
    taken = snapshot(timescale_dsn)
    with empty_database() as dsn:
        project = Project(tmp_path / "migrations", dsn)
        project.write("001_all.sql", text(taken))
        report = project.apply()
        assert report.failure is None, report.failure
        assert snapshot(dsn).to_json().decode() == taken.to_json().decode()


def test_data_and_chunks_are_not_of_the_schema(timescale_dsn: str):
    execute(timescale_dsn, RICH)
    taken = snapshot(timescale_dsn)
    execute(
        timescale_dsn,
        "INSERT INTO metrics.readings SELECT now() - g * interval '12 hours', 'd' || g % 3, g FROM generate_series(1, 99) g;\n"
        "CALL refresh_continuous_aggregate('metrics.hourly', NULL, NULL);\n"
        "SELECT compress_chunk(c) FROM show_chunks('metrics.readings') c LIMIT 3;\n",
    )
    assert snapshot(timescale_dsn).to_json().decode() == taken.to_json().decode()


def test_the_example_of_telemetry_comes_back_as_it_was(timescale_dsn: str, tmp_path: Path):
    project = Project(tmp_path / "migrations", timescale_dsn)
    for path in EXAMPLE.glob("*.sql"):
        project.write(path.name, path.read_bytes())
    assert project.apply().failure is None
    taken = snapshot(timescale_dsn)
    assert rebuilt(taken).to_json().decode() == taken.to_json().decode()
