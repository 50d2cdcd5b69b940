"""The servers that all other tests run on."""

from __future__ import annotations

import psutil
import psycopg
import pytest

from tests.rig.bouncer import PgBouncer
from tests.rig.postgres import Server, alive


def names(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'mine%'")]


@pytest.mark.every_server
def test_every_test_gets_an_empty_database_of_its_own(cluster: Server, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE mine (i int)")
        assert connection.info.server_version // 10000 == cluster.major
    assert names(postgres_dsn) == ["mine"]
    other = cluster.database(cluster.create_database())
    assert names(other) == []


@pytest.mark.pg(">= 18")
def test_a_version_marker_lets_the_right_server_through(cluster: Server) -> None:
    assert cluster.major >= 18


@pytest.mark.every_server
def test_killing_everything_leaves_no_process_and_keeps_what_was_committed(server: Server) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (i int)")
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        assert connection.info.backend_pid in {each.pid for each in family}
        server.kill9_all()
    assert not any(alive(each) for each in family)
    port = server.port
    server.start()
    assert server.port == port
    assert names(server.dsn) == ["mine"]


def test_a_killed_backend_takes_the_others_down_and_the_server_comes_back(server: Server) -> None:
    with psycopg.connect(server.dsn) as connection:
        server.kill9_backend(connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.wait_until_ready()
    assert server.running


def test_a_restart_keeps_port_and_data(server: Server) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (i int)")
    before = server.pid
    server.restart()
    assert server.pid != before
    assert names(server.dsn) == ["mine"]


def test_a_bouncer_shares_server_sessions_between_clients(postgres_dsn: str, pooled_dsn: str) -> None:
    with psycopg.connect(pooled_dsn, autocommit=True, prepare_threshold=None) as one:
        one.execute("CREATE TABLE mine (i int)")
        with psycopg.connect(pooled_dsn, autocommit=True, prepare_threshold=None) as two:
            backends = {c.execute("SELECT pg_backend_pid()").fetchone() for c in (one, two, one)}
    assert len(backends) == 1
    assert names(postgres_dsn) == ["mine"]


def test_the_bouncer_console_answers(pgbouncer: PgBouncer) -> None:
    with psycopg.connect(pgbouncer.admin, autocommit=True) as console:
        cursor = psycopg.ClientCursor(console)
        assert cursor.execute("SHOW POOLS").fetchall()


def test_timescale_is_there_when_its_variable_is(timescale_dsn: str) -> None:
    with psycopg.connect(timescale_dsn) as connection:
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    assert row is not None
