"""The proxy between client and server, with real clients and a real server."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.rig.proxy import Direction, Proxy, answers, at, sends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.installation import Installation
    from tests.rig.postgres import Server

WITNESS = "INSERT INTO witness VALUES (1)"


@pytest.fixture
def proxy(cluster: Server) -> Iterator[Proxy]:
    with Proxy(cluster.port) as running:
        yield running


@pytest.fixture
def witness(postgres_dsn: str) -> str:
    with psycopg.connect(postgres_dsn, autocommit=True) as direct:
        direct.execute("CREATE TABLE witness (i int)")
    return postgres_dsn


def rows(dsn: str) -> int:
    with psycopg.connect(dsn) as direct:
        row = direct.execute("SELECT count(*) FROM witness").fetchone()
    assert row is not None
    return int(row[0])


def rows_become(expected: int, dsn: str) -> None:
    ends = time.monotonic() + 10
    while rows(dsn) != expected:
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.every_server
def test_a_session_through_it_works_and_is_logged(proxy: Proxy, postgres_dsn: str) -> None:
    with psycopg.connect(proxy.dsn(postgres_dsn), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.execute("SELECT %s::int", [2]).fetchone() == (2,)
        assert proxy.connections[0].backend_pid == connection.info.backend_pid
    proxy.connections[0].closed.wait(10)
    sent = [message.text for message in proxy.log if message.kind in "QP" and message.text]
    assert sent == ["SELECT 1", "SELECT $1::int"]
    kinds = [message.kind for message in proxy.log if message.direction is Direction.TO_SERVER]
    assert kinds[-1] == "X"
    assert "Startup" in kinds
    assert proxy.counts[Direction.TO_SERVER] == len(kinds)


def test_psql_works_through_it(proxy: Proxy, postgres_dsn: str, programs: Installation) -> None:
    psql = programs.program("psql")
    command = [psql, "-X", "-At", "-c", "CREATE TABLE t (i int)", "-c", "COPY t FROM stdin", "-c", "TABLE t"]
    result = subprocess.run(
        [*command, proxy.dsn(postgres_dsn)], input="1\n2\n\\.\n", capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["CREATE", "TABLE", "COPY", "2", "1", "2"]
    assert [m.text for m in proxy.log if m.kind == "C"] == ["CREATE TABLE", "COPY 2", "SELECT 2"]


def test_messages_larger_than_a_buffer_arrive_whole(proxy: Proxy, postgres_dsn: str) -> None:
    with psycopg.connect(proxy.dsn(postgres_dsn)) as connection:
        row = connection.execute("SELECT length(%s), repeat('y', 3000000)", ["x" * 2_000_000]).fetchone()
    assert row is not None
    assert (row[0], len(row[1])) == (2_000_000, 3_000_000)


def test_the_same_work_has_the_same_number_of_messages(cluster: Server, witness: str) -> None:
    counts = []
    for _ in range(2):
        with Proxy(cluster.port) as proxy:
            with psycopg.connect(proxy.dsn(witness)) as connection:
                connection.execute(WITNESS)
            proxy.connections[0].closed.wait(10)
            counts.append(dict(proxy.counts))
    assert counts[0] == counts[1]


def test_a_commit_whose_answer_is_held_has_happened(proxy: Proxy, witness: str) -> None:
    trigger = proxy.after(sends("^COMMIT"), lambda seen: seen.connection.hold(Direction.TO_CLIENT))
    script = f"import psycopg; c = psycopg.connect({proxy.dsn(witness)!r}); c.execute({WITNESS!r}); c.commit()"
    with subprocess.Popen([sys.executable, "-c", script]) as client:
        assert trigger.wait().text.upper() == "COMMIT"
        rows_become(1, witness)
        assert client.poll() is None
        client.kill()
    assert rows(witness) == 1


def test_a_commit_that_never_arrived_has_not_happened(proxy: Proxy, witness: str) -> None:
    proxy.before(sends("^COMMIT"), lambda seen: seen.connection.cut())
    connection = psycopg.connect(proxy.dsn(witness))
    connection.execute(WITNESS)
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert rows(witness) == 0


def test_an_answer_that_is_lost_leaves_the_client_in_doubt(proxy: Proxy, witness: str) -> None:
    proxy.before(answers("^COMMIT"), lambda seen: seen.connection.cut())
    connection = psycopg.connect(proxy.dsn(witness))
    connection.execute(WITNESS)
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert rows(witness) == 1


def test_what_was_held_passes_when_released(proxy: Proxy, witness: str) -> None:
    trigger = proxy.before(sends("^INSERT"), lambda seen: seen.connection.hold(Direction.TO_SERVER))
    script = f"import psycopg; psycopg.connect({proxy.dsn(witness)!r}, autocommit=True).execute({WITNESS!r})"
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", script]) as client:
        seen = trigger.wait()
        assert rows(witness) == 0
        seen.connection.release(Direction.TO_SERVER)
        assert client.wait(20) == 0
    assert rows(witness) == 1


def test_a_trigger_at_a_number_fires_there_and_once(proxy: Proxy, postgres_dsn: str) -> None:
    seen: list[int] = []
    proxy.after(at(5), lambda message: seen.append(message.number))
    proxy.after(at(2, Direction.TO_SERVER), lambda message: seen.append(-message.count))
    for _ in range(2):
        with psycopg.connect(proxy.dsn(postgres_dsn)) as connection:
            connection.execute("SELECT 1")
    assert sorted(seen) == [-2, 5]


def test_killing_the_client_ends_its_session_on_the_server(proxy: Proxy, witness: str) -> None:
    script = f"import psycopg; c = psycopg.connect({proxy.dsn(witness)!r}); c.execute({WITNESS!r}); input()"
    trigger = proxy.after(answers("^INSERT"), lambda _: client.kill())
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as client:
        pid = trigger.wait().connection.backend_pid
    with psycopg.connect(witness, autocommit=True) as direct:
        ends = time.monotonic() + 10
        while direct.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None:
            assert time.monotonic() < ends
            time.sleep(0.02)
    assert rows(witness) == 0


def test_a_dead_server_is_a_closed_connection_to_the_client(server: Server) -> None:
    with Proxy(server.port) as proxy:
        trigger = proxy.before(sends("^SELECT"), lambda _: server.kill9_all())
        connection = psycopg.connect(proxy.dsn(server.dsn), autocommit=True)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1").fetchall()
        trigger.wait()
        connection.close()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.dsn(server.dsn))


def test_what_an_action_raises_reaches_the_test(cluster: Server) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    proxy = Proxy(cluster.port)
    proxy.after(sends("SELECT"), fail)
    with psycopg.connect(proxy.dsn(cluster.dsn)) as connection:
        connection.execute("SELECT 1")
    with pytest.raises(ZeroDivisionError):
        proxy.stop()
