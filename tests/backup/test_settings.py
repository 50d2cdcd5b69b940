"""What belongs to the database from outside is there when it matters, and what is limited is limited last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.backup.leftovers import MARK, new_name

if TYPE_CHECKING:
    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Garage, Server

DAILY = """
CREATE TABLE r AS SELECT '2026-01-01 00:00+00'::timestamptz + i * interval '1 hour' AS ts FROM generate_series(0, 47) i;
SET timezone = 'Asia/Tokyo';
CREATE MATERIALIZED VIEW daily AS SELECT ts::date AS d, count(*) AS n FROM r GROUP BY 1;
"""


@pytest.fixture
def named(server: Server, local: Farm) -> Farm:
    """A database `d` on a server of the test's own."""
    local.project.dsn = server.database(server.create_database("d"))
    return local


def test_a_materialized_view_is_filled_under_the_databases_settings(named: Farm) -> None:
    named.project.query("ALTER DATABASE d SET timezone = 'Asia/Tokyo'")
    named.project.query(DAILY)
    before = named.project.query("SELECT n FROM daily ORDER BY d")
    assert before == [(15,), (24,), (9,)]
    named.create()
    named.well("restore", "--yes", "--drop-old")
    assert named.project.query("SELECT n FROM daily ORDER BY d") == before


NAMES = """ALTER DATABASE d SET "app.user" TO 'x''y';
ALTER DATABASE d SET "app.default" TO '';
ALTER DATABASE d SET search_path TO '';
ALTER ROLE postgres IN DATABASE d SET search_path TO "Öl, Werk", 'a"b', public;
ALTER ROLE postgres IN DATABASE d SET "app.current_user" TO 'z'"""
SAID = "SELECT setrole::regrole::text, unnest(setconfig) FROM pg_db_role_setting ORDER BY 1, 2"


def test_settings_of_any_name_and_lists_of_names_come_back(named: Farm) -> None:
    named.project.query("CREATE TABLE a AS SELECT 1 AS i")
    for each in NAMES.split(";"):
        named.project.query(each)
    before = named.project.query(SAID)
    named.create()
    named.well("restore", "--yes", "--drop-old")
    assert named.project.query(SAID) == before


def test_a_database_that_is_read_only_by_default_comes_back(named: Farm) -> None:
    named.project.query("CREATE TABLE a AS SELECT generate_series(1, 60000) AS i")
    named.project.query("ALTER DATABASE d SET default_transaction_read_only = on")
    named.create()
    named.well("restore", "--yes", "--drop-old")
    assert named.project.one("SHOW default_transaction_read_only") == "on"
    assert named.project.one("SELECT count(*) FROM a") == 60000


def test_a_connection_limit_of_one_does_not_keep_the_restore_out(server: Server, named: Farm) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE owner_1 LOGIN CREATEDB")
        conn.execute("ALTER DATABASE d OWNER TO owner_1")
    for table in ("a", "b"):
        named.project.query(f"CREATE TABLE {table} AS SELECT generate_series(1, 100) AS i")
        named.project.query(f"ALTER TABLE {table} OWNER TO owner_1")
    named.project.query("ALTER DATABASE d CONNECTION LIMIT 1")
    named.create()
    named.project.query("ALTER DATABASE d CONNECTION LIMIT -1")
    named.project.dsn = server.database("d", user="owner_1")
    named.well("restore", "--yes")
    named.project.dsn = server.dsn
    assert named.project.one("SELECT datconnlimit FROM pg_database WHERE datname = 'd'") == 1


def test_a_template_is_one_again_and_can_be_replaced(named: Farm) -> None:
    named.project.query("CREATE TABLE a AS SELECT 1 AS i")
    named.project.query("ALTER DATABASE d IS_TEMPLATE true")
    named.create()
    before = named.databases()
    named.well("restore", "--yes", "--drop-old")
    assert named.project.one("SELECT datistemplate FROM pg_database WHERE datname = 'd'")
    assert named.databases() == before


@pytest.mark.every_server
def test_a_database_without_the_schema_public_comes_back_without_it(local: Farm) -> None:
    local.project.query("DROP SCHEMA public; CREATE SCHEMA app; CREATE TABLE app.t AS SELECT 1 AS a")
    local.project.query(f"ALTER DATABASE {local.project.dsn.rpartition('/')[2]} SET search_path = app")
    local.create()
    local.well("restore", "--yes", "--drop-old")
    assert local.project.query("SELECT nspname FROM pg_namespace WHERE nspname IN ('app', 'public')") == [("app",)]


def test_the_same_backup_is_restored_twice(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    old = [local.well("restore", "--yes")["old"] for _ in range(3)]
    assert len(set(old)) == 3
    assert set(old) <= local.databases()


@pytest.mark.parametrize("path", ["''", "'', app", "app, '', \"a, b\"", '"$user", public'])
def test_an_empty_name_in_a_search_path_comes_back(named: Farm, path: str) -> None:
    named.project.query("CREATE TABLE public.a AS SELECT 1 AS i")
    named.project.query(f"ALTER DATABASE d SET search_path TO {path}")
    named.configure('[ledger]\ntable = "public.schema_migrations"\n')
    config = (
        "SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'd')"
    )
    before = named.project.one(config)
    named.create()
    named.well("restore", "--yes", "--drop-old")
    assert named.project.one(config) == before


def test_a_setting_that_the_role_may_not_make_is_found_before_the_work(server: Server, local: Farm) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE farmer LOGIN CREATEDB")
        conn.execute("CREATE DATABASE d OWNER farmer")
        conn.execute("ALTER DATABASE d SET log_min_duration_statement TO '1234ms'")
    local.project.dsn = server.database("d", user="farmer")
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    before = local.databases()
    refused = local.run("restore", "--yes")
    assert (refused.returncode, "B008" in refused.stderr) == (6, True), refused.stderr
    assert "the role farmer may not set log_min_duration_statement" in refused.stderr
    assert "GRANT SET ON PARAMETER log_min_duration_statement TO farmer" in refused.stderr
    assert "1234" not in refused.stderr
    assert local.databases() == before


def test_the_servers_idle_session_timeout_does_not_end_a_restore(
    garage: Garage, programs: Installation, local: Farm
) -> None:
    with garage.server(programs, settings={"idle_session_timeout": "700ms"}) as server:
        local.project.dsn = server.database(server.create_database("d"))
        local.project.query("CREATE TABLE a AS SELECT i, md5(i::text) FROM generate_series(1, 300000) i")
        local.create()
        local.well("restore", "--into", "d_copy")
        local.well("restore", "--yes", "--drop-old")


def test_a_leftover_that_is_a_template_is_swept(server: Server, named: Farm) -> None:
    name = new_name("restore", "4f2a")
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} IS_TEMPLATE true".encode())
        conn.execute(f"COMMENT ON DATABASE {name} IS '{MARK}'".encode())
    named.project.query("CREATE TABLE a AS SELECT 1 AS i")
    named.create()
    named.well("backup", "verify", "--restore")
    assert name not in named.databases()
