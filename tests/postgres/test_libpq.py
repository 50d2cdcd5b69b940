"""The look through libpq alone: the same as psycopg's, and out of the way when anything is not as it should be."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.postgres.test_apply import ok
from tests.rig.postgres import Server
from tests.rig.project import Project

from tidelock.postgres import catalog, libpq
from tidelock.postgres.address import address
from tidelock.postgres.connection import asking

STRINGS = [
    "postgresql://user:p%40ss@host:5433/db?application_name=x&sslmode=require",
    "postgresql://a@h1:1,h2:2/db?target_session_attrs=read-write",
    "host=/var/run dbname='with space' password='it\\'s'",
    "postgresql:///only",
    "service=mine",
]


@pytest.mark.parametrize("text", STRINGS)
def test_connection_strings_are_read_as_psycopg_reads_them(text: str):
    assert libpq.parameters(text) == {name: str(value) for name, value in conninfo_to_dict(text).items()}


@pytest.mark.parametrize("text", ["postgresql://[", "host=a nonsense", "nosuch=1"])
def test_what_libpq_cannot_read_is_none(text: str):
    assert libpq.parameters(text) is None


@pytest.mark.every_server
def test_both_looks_see_the_same(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); SELECT 'a notice';")
    project.write("002_index.sql", "CREATE INDEX CONCURRENTLY i ON a (id);\nSELECT 1/0;")
    project.apply()
    where = address(project.dsn)
    with libpq.glance(where.connecting("test")) as server, psycopg.connect(project.dsn, autocommit=True) as conn:
        place = catalog.Where("h", server.port, server.backend_pid)
        light, ledger = catalog.observe(server.ask, None, place)
        full, same = catalog.observe(asking(conn), None, catalog.Where("h", str(conn.info.port), conn.info.backend_pid))
    assert light == full
    assert ledger == same
    assert not light.pooled
    assert light.unfinished[2]
    at = light.applied[1].applied_at
    assert at is not None
    assert at.astimezone(UTC).year >= 2026


def test_a_pooler_is_seen(pooled_dsn: str):
    with libpq.glance(address(pooled_dsn).connecting("test")) as server:
        light, _ = catalog.observe(server.ask, None, catalog.Where("h", server.port, server.backend_pid))
    assert light.pooled


@pytest.mark.parametrize("query", ["SELECT 1/0", "nonsense", "SELECT NULL::text", "", "CREATE TEMP TABLE t ()"])
def test_a_question_that_fails_is_for_psycopg(postgres_dsn: str, query: str):
    with libpq.glance(address(postgres_dsn).connecting("test")) as server:
        with pytest.raises(libpq.Unavailable):
            server.ask(query)
        assert server.ask("SELECT '[1]'") == [1]


@pytest.mark.parametrize("where", [{"host": "127.0.0.1", "port": "1"}, {"host": "no-such-host.invalid"}])
def test_a_server_that_is_not_there_is_for_psycopg(where: dict[str, str]):
    with pytest.raises(libpq.Unavailable), libpq.glance(where):
        pass


def test_a_connection_that_ends_is_for_psycopg(postgres_dsn: str):
    with libpq.glance(address(postgres_dsn).connecting("test")) as server, pytest.raises(libpq.Unavailable):
        server.ask("SELECT pg_terminate_backend(pg_backend_pid())")


def test_notices_of_the_server_do_not_reach_the_terminal(postgres_dsn: str, capfd: pytest.CaptureFixture[str]):
    with libpq.glance(address(postgres_dsn).connecting("test")) as server, pytest.raises(libpq.Unavailable):
        server.ask("DO $$BEGIN RAISE WARNING 'loud'; END$$")
    assert capfd.readouterr().err == ""


def test_a_server_that_hangs_ends_with_a_signal_in_time(project: Project, server: Server):
    """The look waits for a lock on the ledger; ctrl-C ends it."""
    import signal
    import time

    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    with psycopg.connect(project.dsn) as conn:
        conn.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        process = project.start("apply")
        time.sleep(1.5)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 75
        assert time.monotonic() - sent < 5


WITHOUT = """
import sys, importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "psycopg_binary" else found(name, *more)
sys.argv[1:] = ["apply", "--dir", sys.argv[1], "--database", sys.argv[2]]
from tidelock.cli.main import main
try: main()
except SystemExit as left: code = left.code
print(code, "psycopg" in sys.modules)
"""
WITH = WITHOUT.replace("found(name, *more)", "found(name, *more)").replace('name == "psycopg_binary"', "False")


@pytest.mark.parametrize(("code", "ends"), [(WITH, "0 False"), (WITHOUT, "0 True")])
def test_nothing_to_do_imports_psycopg_only_where_its_libpq_is_not_found(project: Project, code: str, ends: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.folder), project.dsn], capture_output=True, text=True, check=True
    )
    assert "Nothing to do" in done.stdout
    assert done.stdout.splitlines()[-1] == ends
