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


def test_adopt_waits_for_a_promotion_too(standby: Project):
    standby.write("002_b.sql", "CREATE TABLE b (id int);")
    process = standby.start("adopt", "--up-to", "2", "--yes", "--wait", "30s")
    assert process.stdout is not None
    time.sleep(3)
    assert process.poll() is None
    standby.query("SELECT pg_promote()")
    stdout, stderr = process.communicate(timeout=40)
    assert process.returncode == 0, stdout + stderr
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


def parts(project: Project) -> dict[str, str]:
    return {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(project.dsn).items()}


def in_service(project: Project, **over: str) -> dict[str, str]:
    """A service file for the project's server, and the variables that lead to it."""
    known = {**parts(project), **over}
    path = project.write("services.conf", "# ours\n[other]\nhost=nowhere\n\n[mine]\n")
    path.write_text(
        path.read_text() + "".join(f"{name}={known[name]}\n" for name in ("host", "port", "user", "dbname"))
    )
    return {"PGSERVICEFILE": str(path), "PGSERVICE": "mine", "PGHOST": "elsewhere", "PGUSER": "nobody"}


def test_a_service_file_says_who_and_where(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    known, env = parts(project), in_service(project)
    done = project.tidelock("apply", "--dir", str(project.folder), env=env, where=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{known['dbname']}@{known['host']}:{known['port']} ")
    [(who,)] = project.query("SELECT applied_by FROM schema_migrations")
    assert str(who).startswith(f"{known['user']}@")
    done = project.tidelock("status", "--dir", str(project.folder), "-d", "nosuch", env=env, where=False)
    assert (done.returncode, f"nosuch@{known['host']}:{known['port']}: there is no" in done.stderr) == (5, True), done


def test_a_service_file_says_who_was_refused(project: Project):
    env = in_service(project, user="somebody_else")
    done = project.tidelock("status", "--dir", str(project.folder), env=env, where=False)
    assert (done.returncode, "refused user somebody_else" in done.stderr) == (5, True), done.stderr


def test_several_ports_are_taken_as_by_psql(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    known = parts(project)
    where = ("-h", f"{known['host']},{known['host']}", "-U", known["user"], "-d", known["dbname"])
    for port, code in ((f"1,{known['port']}", 0), ("1,2,3", 2), ("x", 2), ("70000", 2)):
        done = project.tidelock("status", "--dir", str(project.folder), *where, "-p", port, where=False)
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("host=h passwrod=sekrit77", "knows no “passwrod”"),
        ("postgresql://app:sekrit77@h/d?sslmod=require", "knows no “sslmod”"),
        ("mysql://app:sekrit77@h/d", "begins with mysql://"),
        ("jdbc:postgresql://app:sekrit77@h/d", "begins with jdbc:postgresql://"),
        ("postgresql+psycopg://app:sekrit77@h/d", "begins with postgresql+psycopg://"),
        ("host='h sekrit77=", "libpq does not understand it"),
    ],
)
def test_a_string_that_cannot_be_read_names_its_cause_and_where_it_stands(project: Project, text: str, told: str):
    status = ("status", "--dir", str(project.folder))
    for source, done in (
        ("DATABASE_URL", project.tidelock(*status, env={"DATABASE_URL": text}, where=False)),
        ("--database", project.tidelock(*status, "-d", text, where=False)),
    ):
        assert (done.returncode, "U002" in done.stderr, source in done.stderr) == (2, True, True), done.stderr
        assert told in done.stderr
        assert "sekrit77" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PGPORT", "abc"),
        ("PGSSLMODE", "bogus"),
        ("PGTZ", "bogus"),
        ("PGOPTIONS", "-c nosuch=1"),
        ("PGSERVICE", "nosuch"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(project: Project, variable: str, value: str):
    known = parts(project)
    env = {"PGHOST": known["host"], "PGPORT": known["port"], "PGUSER": known["user"], "PGDATABASE": known["dbname"]}
    done = project.tidelock("status", "--dir", str(project.folder), env={**env, variable: value}, where=False)
    assert (done.returncode, f"U002 {variable} cannot be used" in done.stderr) == (2, True), done.stderr
    assert "postgresql://" not in done.stderr


def test_a_directory_without_a_socket_is_named(project: Project):
    done = project.tidelock("status", "--dir", str(project.folder), "-h", "/nope", "--wait", "0s", where=False)
    assert (done.returncode, "/nope/.s.PGSQL." in done.stderr) == (75, True), done.stderr


def test_a_database_that_takes_no_connections_is_not_waited_for(project: Project):
    project.query("DROP DATABASE IF EXISTS shut")
    project.query("CREATE DATABASE shut ALLOW_CONNECTIONS false")
    try:
        done = project.tidelock("status", "-d", psycopg.conninfo.make_conninfo(project.dsn, dbname="shut"))
    finally:
        project.query("DROP DATABASE shut")
    assert (done.returncode, "ALLOW_CONNECTIONS true" in done.stderr) == (5, True), done.stderr


def test_bytes_that_are_not_utf8_are_refused(project: Project):
    for option in ("-d", "-h", "-U"):
        done = project.tidelock("status", "--dir", str(project.folder), option, "\udcff", where=False)
        assert (done.returncode, "not UTF-8" in done.stderr) == (2, True), done.stderr
