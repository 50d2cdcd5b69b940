"""A role that owns the database and may create others is enough to restore, as far as it may end who is connected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.backup.leftovers import dropped
from tidelock.postgres.address import address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Garage, Server

EAGER = {"autovacuum": "on", "autovacuum_naptime": "1s", "autovacuum_max_workers": "3"}
SLOWLY = """
CREATE TABLE t WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                     autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
    AS SELECT i, repeat('x', 50) AS v FROM generate_series(1, 200000) i;
UPDATE t SET v = v || 'y' WHERE i % 3 = 0;
"""


@pytest.fixture
def busy(garage: Garage, programs: Installation) -> Iterator[Server]:
    """A server on which autovacuum looks for work every second."""
    with garage.server(programs, settings=EAGER) as server:
        yield server


def owned(server: Server, farm: Farm, name: str = "farm") -> None:
    """A database of a role that is no superuser; the project connects as that role."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE farmer LOGIN CREATEDB")
        conn.execute(f"CREATE DATABASE {name} OWNER farmer".encode())
    farm.project.dsn = server.database(name, user="farmer")


def vacuumed(server: Server, name: str) -> None:
    """Wait until autovacuum is at work in a database."""
    at_work = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = %s"
    until = time.monotonic() + 30
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        while not conn.execute(at_work, (name,)).fetchone()[0]:  # type: ignore[index]
            assert time.monotonic() < until, "autovacuum does not come"
            time.sleep(0.05)


def test_a_superusers_session_is_named_before_the_work(server: Server, local: Farm) -> None:
    owned(server, local)
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    before = local.databases()
    with psycopg.connect(server.database("farm"), application_name="watcher") as guest:
        guest.execute("SELECT 1")
        refused = local.run("restore", "--yes")
        assert (refused.returncode, "B008" in refused.stderr) == (6, True), refused.stderr
        assert f"the role farmer may not end 1 of the sessions in farm: pid {guest.info.backend_pid}" in refused.stderr
        assert "watcher" in refused.stderr
        assert "GRANT SELECT" not in refused.stderr
    assert local.databases() == before
    local.well("restore", "--yes", "--drop-old")


def test_the_session_of_another_role_is_named_unless_it_may_be_ended(server: Server, local: Farm) -> None:
    owned(server, local)
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE app LOGIN")
        with psycopg.connect(server.database("farm", user="app")) as guest:
            refused = local.run("restore", "--yes")
            assert (refused.returncode, "· app ·" in refused.stderr) == (6, True), refused.stderr
            conn.execute("GRANT pg_signal_backend TO farmer")
            local.well("restore", "--yes", "--drop-old")
            with pytest.raises(psycopg.OperationalError):
                guest.execute("SELECT 1")


def test_autovacuum_at_work_in_the_live_database_does_not_keep_the_restore_out(busy: Server, local: Farm) -> None:
    owned(busy, local)
    local.create()
    local.project.query(SLOWLY)
    vacuumed(busy, "farm")
    local.well("restore", "--yes", "--drop-old")
    assert local.project.query("SELECT FROM pg_tables WHERE tablename = 't'") == []


def test_a_database_in_which_autovacuum_is_at_work_is_dropped_by_its_owner(busy: Server, local: Farm) -> None:
    owned(busy, local, "shadow")
    local.project.query(SLOWLY)
    vacuumed(busy, "shadow")
    dropped(PostgresServer(address(local.project.dsn)), "shadow")
    with psycopg.connect(busy.dsn) as conn:
        assert conn.execute("SELECT FROM pg_database WHERE datname = 'shadow'").fetchone() is None
