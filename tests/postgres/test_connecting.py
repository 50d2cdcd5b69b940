"""Addresses that cannot be right, and servers that do not answer: each with its own words, none waits for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
from tests.postgres.test_apply import ok

if TYPE_CHECKING:
    from tests.rig.project import Project


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
