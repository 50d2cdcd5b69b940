"""The snapshot of a schema: complete, canonical, the same whatever the server's version."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tidelock.core.comparison import difference
from tidelock.core.ddl.document import text
from tidelock.core.snapshot import Snapshot, from_json
from tidelock.postgres.snapshot import take

RICH = (Path(__file__).parent / "schemas" / "rich.sql").read_text(encoding="utf-8")


def execute(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(text.encode())


def snapshot(dsn: str) -> Snapshot:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return take(conn)


@pytest.mark.every_server
def test_it_is_the_same_bytes_each_time_and_survives_its_json(postgres_dsn: str):
    execute(postgres_dsn, RICH)
    taken = snapshot(postgres_dsn)
    assert taken.to_json() == snapshot(postgres_dsn).to_json()
    assert from_json(taken.to_json()) == taken


@pytest.mark.every_server
def test_it_holds_every_kind_of_object(postgres_dsn: str):
    execute(postgres_dsn, RICH)
    kinds = {kind for kind, _ in snapshot(postgres_dsn).objects}
    assert kinds >= {
        "aggregate", "cast", "collation", "column", "column order", "comment", "constraint", "default privileges",
        "domain", "event trigger", "foreign data wrapper", "function", "grant", "index", "materialized view", "operator",
        "policy", "procedure", "publication", "rule", "schema", "sequence", "server", "setting", "statistics", "table",
        "trigger", "type", "view",
    }  # fmt: skip


@pytest.mark.every_server
def test_a_secret_in_a_setting_stays_in_the_database(postgres_dsn: str):
    execute(postgres_dsn, RICH)
    assert b"hush" not in snapshot(postgres_dsn).to_json()


@pytest.mark.every_server
def test_an_empty_database_has_the_schema_public_alone(postgres_dsn: str):
    assert snapshot(postgres_dsn).objects == {("schema", "public"): {}}


def test_tidelocks_own_tables_are_not_of_the_schema(project):
    project.write("001_a.sql", "CREATE TABLE a (i integer);")
    assert project.apply().failure is None
    names = {key for key in snapshot(project.dsn).objects if key[0] == "table"}
    assert names == {("table", "public.a")}


def test_it_can_be_taken_inside_an_open_transaction_and_leaves_its_settings_alone(postgres_dsn: str):
    with psycopg.connect(postgres_dsn) as conn:
        conn.execute("CREATE TABLE a (i integer)")
        assert ("table", "public.a") in take(conn).objects
        assert conn.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_two_major_versions_give_the_same(garage, find_programs, shared_servers):
    taken = []
    for kind in ("embedded", "debian"):
        server = shared_servers(find_programs(kind))
        name = server.create_database()
        execute(server.database(name), RICH)
        taken.append(snapshot(server.database(name)))
        server.drop_database(name)
    assert [(str(each), each.attributes) for each in difference(*taken)] == []


@pytest.mark.every_server
def test_as_sql_in_an_empty_database_it_gives_the_same_bytes(cluster, postgres_dsn: str):
    execute(postgres_dsn, RICH)
    taken = snapshot(postgres_dsn)
    name = cluster.create_database()
    try:
        execute(cluster.database(name), text(taken))
        assert snapshot(cluster.database(name)).to_json().decode() == taken.to_json().decode()
    finally:
        cluster.drop_database(name)


@pytest.mark.every_server
def test_the_example_of_a_farm_comes_back_as_it_was(cluster, project):
    for path in sorted((Path(__file__).parents[2] / "examples" / "farm" / "migrations").glob("*.sql")):
        project.write(path.name, path.read_bytes())
    assert project.apply().failure is None
    taken = snapshot(project.dsn)
    name = cluster.create_database()
    try:
        execute(cluster.database(name), text(taken))
        assert snapshot(cluster.database(name)).to_json().decode() == taken.to_json().decode()
    finally:
        cluster.drop_database(name)
