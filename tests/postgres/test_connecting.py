"""Addresses that cannot be right, and servers that do not answer: each with its own words, none waits for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import failed, ok
from tests.rig.project import Project

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.postgres import Server


def test_a_look_that_nobody_answers_ends_with_the_patience(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    with psycopg.connect(project.dsn) as conn:
        conn.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        done = project.tidelock("apply", "--wait", "2s")
    assert done.returncode == 75
    assert "T004" in done.stderr
    assert time.monotonic() - began < 6


def test_a_service_that_is_not_there_is_not_waited_for(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("status", "--database", "service=farm")
    assert done.returncode == 2
    assert "U002" in done.stderr
    assert "farm" in done.stderr


def test_as_many_ports_as_hosts(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("status", "--database", "host=127.0.0.1,127.0.0.2,127.0.0.3 port=1,2")
    assert done.returncode == 2
    assert "2 ports for 3 hosts" in done.stderr


def test_a_name_with_a_quote_in_it_is_a_database_that_is_not_there(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("status", "--database", psycopg.conninfo.make_conninfo(project.dsn, dbname='no"such'))
    assert done.returncode == 5
    assert "D002" in done.stderr


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"PGPORT": "abc"}, 'invalid integer value "abc"'),
        ({"PGSSLMODE": "bogus"}, 'invalid sslmode value: "bogus"'),
        ({"PGOPTIONS": "-c nonsense=1"}, "nonsense"),
    ],
)
def test_a_setting_that_libpq_or_the_server_cannot_read_is_not_waited_for(
    project: Project, env: dict[str, str], told: str
):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    known = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(project.dsn).items()}
    where = {
        "PGHOST": known["host"],
        "PGPORT": known["port"],
        "PGUSER": known["user"],
        "PGDATABASE": known["dbname"],
    }
    done = project.tidelock("status", "--dir", str(project.folder), env={**where, **env}, where=False)
    assert (done.returncode, "U002" in done.stderr, told in done.stderr) == (2, True, True), done.stderr


def test_a_server_without_tls_is_not_a_wrong_password(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("status", env={"PGSSLMODE": "require"})
    assert (done.returncode, "PGSSLMODE" in done.stderr, "PGPASSWORD" in done.stderr) == (5, True, False), done.stderr


def test_a_short_statement_timeout_of_the_role_does_not_end_a_look(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    short = {"PGOPTIONS": "-c statement_timeout=200"}
    with psycopg.connect(project.dsn) as conn:
        conn.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        looking = project.start("status", env=short)
        time.sleep(2)
    said = looking.communicate(timeout=30)
    assert looking.returncode == 0, said


@pytest.fixture
def standby(server: Server, tmp_path: Path) -> Project:
    """A server in recovery, to which one migration was applied before and for which another one is there."""
    project = Project(tmp_path, server.dsn)
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    server.stop()
    (server.data / "standby.signal").touch()
    server.start()
    return Project(tmp_path, server.dsn)


def test_a_standby_that_is_promoted_is_waited_for(standby: Project):
    standby.write("002_b.sql", "CREATE TABLE b (id int);")
    process = standby.start("apply", "--wait", "30s")
    time.sleep(2)
    assert process.poll() is None
    standby.query("SELECT pg_promote()")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert standby.versions() == [1, 2]


def test_a_standby_that_nobody_promotes_ends_with_75_and_what_to_do(standby: Project):
    assert standby.tidelock("apply").returncode == 0  # there is nothing to do
    standby.write("002_b.sql", "CREATE TABLE b (id int);")
    assert standby.tidelock("plan").returncode == 0
    assert standby.tidelock("status").returncode in (0, 3)
    began = time.monotonic()
    fault = failed(standby.apply(wait="2s"), "T005", 75)
    assert 2 <= time.monotonic() - began < 8
    assert "is a standby" in fault.message
    assert "waited 2 s" in fault.message
    assert "target_session_attrs" in fault.hint
    assert any("to be promoted" in text for text in standby.heard.texts(Happening.WAITING))
