"""The lock budget, on a server with a small lock table: what Tidelock refuses, and what the server says to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import ok
from tests.rig.project import Project

from tidelock.timescale.budget import ROOM, Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rig.postgres import Server

SMALL = {
    "max_locks_per_transaction": "10",
    "max_connections": "20",
    "max_worker_processes": "8",
    "max_wal_senders": "0",
    "max_prepared_transactions": "0",
    "timescaledb.max_background_workers": "0",
}
"""For 320 locks; 524 were seen to fit, and 422."""
CHUNKS = 700
TABLE = """
CREATE TABLE {name} (time timestamptz NOT NULL, device int, v double precision, note text);
SELECT create_hypertable('{name}', 'time', chunk_time_interval => INTERVAL '1 day');
"""


@pytest.fixture
def project(timescale_server: Callable[..., Server], tmp_path: Path) -> Project:
    server = timescale_server(**SMALL)
    name = server.create_database()
    folder = tmp_path / "migrations"
    folder.mkdir()
    project = Project(folder, server.database(name))
    project.query("CREATE EXTENSION timescaledb")
    return project


def fill(project: Project, name: str, chunks: int) -> None:
    """A hypertable of so many chunks, a few in each transaction: more do not fit."""
    project.query(TABLE.format(name=name))
    for start in range(0, chunks, 20):
        project.query(
            f"INSERT INTO {name} SELECT '2020-01-01'::timestamptz + g * interval '1 day' "
            f"FROM generate_series({start}, {min(start + 20, chunks) - 1}) g"
        )


@pytest.mark.parametrize("schema", ["my app", "Öl.Werk", 'x "y"'])
def test_a_schema_of_any_name_is_dropped_with_its_chunks_counted(project: Project, schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
    project.query(f"CREATE SCHEMA {quoted}")
    fill(project, f"{quoted}.t", 200)
    project.write("001_drop.sql", f"DROP SCHEMA {quoted} CASCADE;\n")
    failure = project.apply().failure
    assert failure is not None
    assert (failure.code, "200 chunks" in failure.message) == ("D040", True)
    other = quoted[:-1] + '2"'
    project.write("001_drop.sql", f"CREATE SCHEMA {other};\nDROP SCHEMA {other} CASCADE;\n")
    ok(project.apply())


def sqlstate(project: Project, statement: str) -> str:
    """What the server says to it, sent directly; it is rolled back."""
    with psycopg.connect(project.dsn) as conn:
        try:
            conn.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate or "?"
        finally:
            conn.rollback()
    return ""


REFUSED = [
    "ALTER TABLE r ADD COLUMN k int",
    "ALTER TABLE r ALTER COLUMN v TYPE real",
    "ALTER TABLE r ALTER COLUMN v SET NOT NULL",
    "CREATE INDEX r_v ON r (v)",
    "CREATE INDEX IF NOT EXISTS r_v ON r (v)",
    "DROP INDEX r_time_idx",
    "CREATE TRIGGER t BEFORE INSERT ON r FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "TRUNCATE r",
    "DROP TABLE r",
]
PASSES = """
COMMENT ON TABLE r IS 'x';
CREATE POLICY p ON r USING (true);
ALTER TABLE r SET (timescaledb.enable_columnstore);
ALTER TABLE r RENAME TO s;
"""


def test_what_the_server_has_no_room_for_is_refused_with_the_numbers_before_it_says_so(project: Project):
    fill(project, "r", CHUNKS)
    file = project.write("001_r.sql", "")
    for statement in REFUSED:
        file.write_text(statement + ";\n")
        failure = project.apply().failure
        assert failure is not None, statement
        assert (failure.code, failure.exit_code) == ("D040", 5), (statement, failure)
        assert "max_locks_per_transaction is 10, for 32 processes" in failure.message
        assert f"r: {CHUNKS} chunks ×" in failure.message
        assert sqlstate(project, statement) == "53200", statement
    file.write_text(PASSES)
    ok(project.apply())


def test_with_the_setting_of_the_hint_the_same_file_runs(project: Project, timescale_server: Callable[..., Server]):
    fill(project, "r", CHUNKS)
    project.write("001_r.sql", "DROP TABLE r;")
    failure = project.apply().failure
    assert failure is not None
    [setting] = [word for word in failure.hint.split() if word.isdigit()]
    server = timescale_server(**{**SMALL, "max_locks_per_transaction": setting})
    larger = Project(project.folder, server.database(server.create_database()))
    larger.query("CREATE EXTENSION timescaledb")
    fill(larger, "r", CHUNKS)
    ok(larger.apply())


def test_what_fits_is_not_refused(project: Project):
    fill(project, "r", 180)
    project.write("001_r.sql", "ALTER TABLE r ADD COLUMN k int;")
    project.write("002_r.sql", "CREATE INDEX ON r (v);")
    project.write("003_r.sql", "CREATE INDEX IF NOT EXISTS r_v_idx ON r (v);\nALTER TABLE r ADD COLUMN l int;")
    ok(project.apply())


def test_an_index_that_is_built_chunk_by_chunk_needs_no_room(project: Project):
    fill(project, "r", CHUNKS)
    project.write("001_r.sql", "CREATE INDEX r_v ON r (v) WITH (timescaledb.transaction_per_chunk);")
    ok(project.apply())


def test_an_aggregate_and_what_cascades_count(project: Project):
    fill(project, "r", 60)
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(
            "CREATE MATERIALIZED VIEW h WITH (timescaledb.continuous, timescaledb.chunk_interval = '1 day') AS "
            "SELECT time_bucket('1 day', time) b, count(*) n FROM r GROUP BY 1 WITH NO DATA"
        )
        for start in range(0, 60, 20):
            conn.execute(
                "CALL refresh_continuous_aggregate('h', '2020-01-01'::timestamptz + %s * interval '1 day', "
                "'2020-01-01'::timestamptz + %s * interval '1 day')",
                (start, start + 20),
            )
    project.write("001_r.sql", "-- tidelock: accept-loss h: gone\nDROP TABLE r CASCADE;")
    failure = project.apply().failure
    assert failure is not None
    assert failure.code == "D040"
    assert "h: 60 chunks" in failure.message
    assert sqlstate(project, "DROP TABLE r CASCADE") == "53200"


def test_what_is_counted_as_fitting_fits(project: Project):
    with psycopg.connect(project.dsn) as conn:
        row = conn.execute(ROOM).fetchone()
        assert row is not None
        room = Room(*map(int, row))
        assert (room.each, room.processes) == (10, 32)
        conn.execute("SELECT pg_advisory_xact_lock(g) FROM generate_series(1, %s) g", (room.all - 20,))
