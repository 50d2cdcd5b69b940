"""A backup that is being made takes no table of the live database out of service."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backup.conftest import Farm

TABLES = """
CREATE TABLE big AS SELECT i, repeat(md5(i::text), 6) AS pad FROM generate_series(1, 300000) i;
CREATE TABLE orders AS SELECT i FROM generate_series(1, 1000) i;
"""
MAKING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^tidelock backup 2'"


@pytest.fixture
def slow(local: Farm) -> Farm:
    """A database whose small tables are counted long after all are locked."""
    local.configure("jobs = 1\n")
    local.project.query(TABLES)
    return local


def once_it_is_made(farm: Farm, act: Callable[[psycopg.Connection], None]) -> threading.Thread:
    """Do something as soon as a backup has all of its tables."""

    def run() -> None:
        with psycopg.connect(farm.project.dsn, autocommit=True, application_name="deployer") as conn:
            while conn.execute(MAKING).fetchone() is None:
                time.sleep(0.02)
            act(conn)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_who_wants_a_table_gets_it_and_the_backup_is_begun_again(slow: Farm) -> None:
    answers: list[float] = []

    def add_column(conn: psycopg.Connection) -> None:
        began = time.monotonic()
        conn.execute("ALTER TABLE orders ADD COLUMN x int")
        answers.append(time.monotonic() - began)

    thread = once_it_is_made(slow, add_column)
    slow.create()
    thread.join()
    assert answers[0] < 15
    slow.well("backup", "verify", "--restore")


def test_one_that_never_gets_a_table_names_who_wants_it(slow: Farm) -> None:
    ended = threading.Event()

    def want_it_always(conn: psycopg.Connection) -> None:
        while not ended.is_set():
            with suppress(psycopg.Error), conn.transaction():
                conn.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            time.sleep(0.02)

    thread = once_it_is_made(slow, want_it_always)
    refused = slow.run("backup", "create", "--json")
    ended.set()
    thread.join()
    failure = json.loads(refused.stdout)["failure"]
    assert (refused.returncode, failure["code"]) == (6, "B022"), failure
    assert "deployer wants orders (AccessExclusiveLock)" in failure["message"]
    assert slow.ids() == []
    assert not list(slow.place.objects.rglob("*.*"))
