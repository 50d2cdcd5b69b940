"""Waiting for locks where the wait is not plain: code that catches errors, prepared transactions."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.postgres.test_apply import ADD, failed, hold, ok

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.project import Project

CAUGHT = "DO $$ BEGIN {} EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'there already: %', SQLERRM; END $$;"
ADDING = """CREATE TABLE a (id int);
CREATE FUNCTION adds() RETURNS void LANGUAGE plpgsql AS $$
BEGIN ALTER TABLE a ADD COLUMN x int; EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'there already'; END $$;
CREATE PROCEDURE adds_too() LANGUAGE plpgsql AS $$ BEGIN PERFORM adds(); END $$;"""

FIRED = """CREATE TABLE t (id int);
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM adds(); RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fired();"""


@pytest.mark.every_server
@pytest.mark.parametrize(
    "text",
    [
        CAUGHT.format(ADD),
        CAUGHT.format("CREATE INDEX a_x ON a (id);") + ADD,
        f"BEGIN; {CAUGHT.format(ADD)} COMMIT;",
        "DO $$ BEGIN EXECUTE 'SELECT ' || 'adds()'; END $$;",
        "SELECT adds();",
        "BEGIN; CALL adds_too(); COMMIT;",
        "SELECT 'SELECT adds()' \\gexec\n",
        "-- tidelock: no-transaction\nSELECT adds();",
        f"{FIRED}\nINSERT INTO t VALUES (1);",
    ],
)
def test_code_that_catches_errors_does_not_go_on_without_a_lock(project: Project, text: str):
    project.write("001_a.sql", ADDING)
    ok(project.apply())
    project.write("002_b.sql", text)
    project.write("003_c.sql", "CREATE TABLE c (id int);")
    holder = hold(project, "LOCK TABLE a IN ROW EXCLUSIVE MODE", 4)
    report = ok(project.apply(wait="30s"))
    holder.join()
    assert project.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'x'") == 1
    assert (project.one("SELECT to_regclass('a_x')") is not None) == ("INDEX" in text)
    assert report.applied[0].lock_wait_s > 1
    assert any("grafana" in name for name in project.heard.texts(Happening.WAITING))
    assert not any("already" in said for said in project.heard.texts(Happening.NOTICE))


def test_code_that_catches_errors_queues_in_short_attempts_too(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"-- tidelock: lock-timeout 1s\n{CAUGHT.format(ADD)}")
    holder = hold(project, "SELECT * FROM a", 10)
    process = project.start("apply", "--wait", "4s")
    waits = set()
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        while process.poll() is None:
            waits |= set(conn.execute("SELECT waitstart FROM pg_locks WHERE NOT granted").fetchall())
            time.sleep(0.1)
    _, err = process.communicate()
    holder.join()
    assert process.returncode == 75, err
    assert "T020" in err
    assert "grafana" in err
    assert len(waits - {(None,)}) >= 3
    ok(project.apply())
    assert project.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'x'") == 1


def test_a_procedure_that_commits_stops_where_it_did_not_get_its_lock(project: Project):
    commits = ADDING.replace("BEGIN PERFORM adds();", "BEGIN COMMIT; PERFORM adds();")
    project.write("001_a.sql", commits)
    ok(project.apply())
    project.write("002_b.sql", "CALL adds_too();")
    holder = hold(project, "SELECT * FROM a", 5)
    fault = failed(project.apply(wait="30s"), "T020", 75)
    holder.join()
    assert "grafana" in fault.detail
    assert project.versions() == [1]


def test_behind_a_pooler_code_that_catches_errors_does_not_go_on_either(project: Project, pooled_dsn: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"-- tidelock: lock-timeout 1s\nSELECT 1 AS shown_once; {CAUGHT.format(ADD)}")
    holder = hold(project, "SELECT * FROM a", 3)
    ok(project.apply(database=[pooled_dsn], wait="30s"))
    holder.join()
    assert len(project.heard.texts(Happening.ROWS)) == 1
    assert project.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'x'") == 1
    with psycopg.connect(pooled_dsn, autocommit=True, prepare_threshold=None) as conn:
        assert conn.execute("SELECT current_setting('lock_timeout')").fetchone() == ("0",)


def test_a_lock_timeout_of_the_file_itself_is_left_alone(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"SET lock_timeout = '300ms'; {CAUGHT.format(ADD)}")
    holder = hold(project, "SELECT * FROM a", 3)
    ok(project.apply())
    holder.join()
    assert any("lock timeout" in text for text in project.heard.texts(Happening.NOTICE))


def test_code_that_never_waits_in_one_go_may_take_longer_than_lock_timeout_in_all(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"-- tidelock: lock-timeout 1s\n{CAUGHT.format('PERFORM pg_sleep(3); ' + ADD)}")
    assert ok(project.apply()).applied[0].lock_wait_s == 0


@contextmanager
def prepared(project: Project, sql: str) -> Iterator[None]:
    """A prepared transaction, rolled back in the end."""
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(f"BEGIN; {sql}; PREPARE TRANSACTION 'it''s'".encode())
        try:
            yield
        finally:
            conn.execute("ROLLBACK PREPARED 'it''s'")


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ADD, "T020"),
        (f"SET lock_timeout = 0; {ADD}", "T020"),
        (CAUGHT.format(ADD), "T020"),
        ("-- tidelock: build-limit 2s\nCREATE INDEX CONCURRENTLY i ON a (id);", "T022"),
    ],
)
def test_a_prepared_transaction_is_named_and_not_waited_for_without_end(project: Project, text: str, code: str):
    project.write("001_a.sql", "CREATE TABLE a (id int); CREATE TABLE other (id int);")
    ok(project.apply())
    project.write("002_b.sql", text)
    with prepared(project, "INSERT INTO a VALUES (1); LOCK TABLE a IN SHARE ROW EXCLUSIVE MODE"):
        began = time.monotonic()
        fault = failed(project.apply(wait="3s"), code, 75)
        assert time.monotonic() - began < 9
    assert "the prepared transaction 'it''s' · postgres · for" in fault.detail
    assert "COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s'" in fault.detail
    assert any("'it''s'" in said for said in project.heard.texts(Happening.WAITING))
    ok(project.apply())


def test_a_prepared_transaction_that_is_in_nobodys_way_is_not_named(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", "LOCK TABLE a IN SHARE MODE;")
    with (
        psycopg.connect(project.dsn, autocommit=True) as conn,
        prepared(project, "LOCK TABLE a IN ROW EXCLUSIVE MODE"),
    ):
        conn.execute("BEGIN; SELECT * FROM a; PREPARE TRANSACTION 'reads'")
        fault = failed(project.apply(wait="1s"), "T020", 75)
        conn.execute("ROLLBACK PREPARED 'reads'")
    assert "it''s" in fault.detail
    assert "reads" not in fault.detail


def test_where_nobody_can_look_the_server_ends_the_wait_after_all_patience(project: Project) -> None:
    role = f"alone_{project.one('SELECT current_database()')}"
    project.query(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT CREATE ON SCHEMA public TO {role}")
    owner, project.dsn = project.dsn, psycopg.conninfo.make_conninfo(project.dsn, user=role)
    project.write("001_t.sql", "CREATE TABLE t (id int);")
    ok(project.apply())
    project.write("002_d.sql", "DO $$BEGIN ALTER TABLE t ADD COLUMN c int; END$$;")
    with psycopg.connect(owner) as holder:
        holder.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        began = time.monotonic()
        failed(project.apply(wait="1s"), "T020", 75)
        assert time.monotonic() - began < 20
