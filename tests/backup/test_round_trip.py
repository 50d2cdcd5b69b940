"""What is restored is what was backed up: said by psql and pg_dump, not by Tidelock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.backup.farm import fill, schema, sums

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Garage, Server


def beside(farm: Farm, name: str) -> str:
    """The DSN of another database of the same server."""
    return farm.project.dsn.rpartition("/")[0] + f"/{name}"


def live(farm: Farm) -> str:
    return farm.project.dsn.rpartition("/")[2]


@pytest.mark.every_server
def test_every_kind_of_object_comes_back_as_it_was(farm: Farm, programs: Installation) -> None:
    fill(farm.project.dsn)
    before = sums(programs, farm.project.dsn), schema(programs, farm.project.dsn)
    assert "Maß" in before[0]
    made = farm.create()
    assert farm.ids() == [made]
    copy = f"{live(farm)}_copy"
    farm.well("restore", made, "--into", copy)
    assert (sums(programs, beside(farm, copy)), schema(programs, beside(farm, copy))) == before
    assert farm.well("backup", "verify", made, "--restore")["backups"][0]["verified"]["how"] == "restore"
    assert not [name for name in farm.databases() if name.startswith("tidelock_")]


def test_a_restore_takes_the_live_ones_place_with_sessions_connected(local: Farm, programs: Installation) -> None:
    fill(local.project.dsn)
    before = sums(programs, local.project.dsn)
    local.create()
    with psycopg.connect(local.project.dsn, autocommit=True) as guest:
        guest.execute('DELETE FROM "Größen".kinder')
        refused = local.run("restore", "--latest")
        assert refused.returncode == 2, refused.stderr
        done = local.well("restore", "--latest", "--yes")
        with pytest.raises(psycopg.OperationalError):
            guest.execute("SELECT 1")
    assert done["database"] == live(local)
    assert done["old"] in local.databases()
    assert sums(programs, local.project.dsn) == before
    assert sums(programs, beside(local, done["old"])) != before


def test_drop_old_leaves_one_database(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    before = local.databases()
    assert local.well("restore", "--yes", "--drop-old")["old"] == ""
    assert local.databases() == before


def test_another_databases_backup_is_restored_beside_and_never_in_the_place_of_this_one(
    local: Farm, server: Server
) -> None:
    local.project.query("CREATE TABLE mine AS SELECT 1 AS i")
    made = local.create()
    local.project.dsn = server.database(server.create_database("elsewhere"))
    copy = f"{live(local)}_copy"
    assert local.well("restore", made, "--into", copy)["backup"] == made
    with psycopg.connect(beside(local, copy)) as conn:
        assert conn.execute("SELECT i FROM mine").fetchone() == (1,)
    refused = local.run("restore", made, "--yes")
    assert (refused.returncode, "B009" in refused.stderr) == (6, True)
    assert not local.project.query("SELECT FROM pg_tables WHERE tablename = 'mine'")


def test_before_a_version_means_the_backup_in_which_it_was_not_applied(local: Farm) -> None:
    local.project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    assert local.run("apply").returncode == 0
    first = local.create()
    local.project.write("002_b.sql", "CREATE TABLE b (i int);\n")
    assert local.run("apply").returncode == 0
    local.create()
    assert local.well("restore", "--before", "2", "--yes", "--drop-old")["backup"] == first
    assert local.project.versions() == [1]
    assert local.run("restore", "--before", "1", "--yes").returncode == 6


def test_what_belongs_to_the_database_from_outside_comes_along(server: Server, local: Farm) -> None:
    local.project.dsn = server.database(server.create_database("höfe"))
    for statement in (
        'CREATE ROLE "Leser Ö" LOGIN', "CREATE ROLE owner_1", 'ALTER DATABASE "höfe" OWNER TO owner_1',
        "ALTER DATABASE \"höfe\" SET search_path TO \"Größen\", public", "ALTER DATABASE \"höfe\" SET work_mem TO '7MB'",
        "ALTER ROLE \"Leser Ö\" IN DATABASE \"höfe\" SET statement_timeout TO '9s'",
        'REVOKE CONNECT ON DATABASE "höfe" FROM PUBLIC', 'GRANT CONNECT ON DATABASE "höfe" TO "Leser Ö"',
        "COMMENT ON DATABASE \"höfe\" IS 'it''s ours'", 'ALTER DATABASE "höfe" CONNECTION LIMIT 50',
        'CREATE TABLE public."T" (i int)', 'ALTER TABLE public."T" OWNER TO owner_1',
        'GRANT SELECT ON public."T" TO "Leser Ö"',
    ):  # fmt: skip
        local.project.query(statement)
    about = """
    SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a),
           (SELECT array_agg(setrole::regrole::text || setconfig::text ORDER BY 1) FROM pg_db_role_setting s
             WHERE s.setdatabase = d.oid) FROM pg_database d WHERE datname = 'höfe'"""
    before = local.project.query(about)
    local.create()
    local.well("restore", "--yes", "--drop-old")
    assert local.project.query(about) == before
    assert local.project.one("SHOW work_mem") == "7MB"


def test_a_role_that_may_create_databases_is_enough(server: Server, local: Farm) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE farmer LOGIN CREATEDB")
        conn.execute("CREATE DATABASE farm OWNER farmer")
    local.project.dsn = server.database("farm", user="farmer")
    local.project.query("CREATE TABLE a AS SELECT generate_series(1, 50000) AS i")
    local.create()
    local.project.query("DELETE FROM a")
    local.well("restore", "--yes")
    assert local.project.one("SELECT count(*) FROM a") == 50000
    local.project.dsn = server.database("farm")
    local.project.query("ALTER ROLE farmer NOCREATEDB")
    local.project.dsn = server.database("farm", user="farmer")
    refused = local.run("restore", "--yes")
    assert (refused.returncode, "ALTER ROLE farmer CREATEDB" in refused.stderr) == (6, True)


def test_a_table_that_the_role_may_not_read_is_named(server: Server, local: Farm) -> None:
    local.project.query("CREATE TABLE mine (i int)")
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE farmer LOGIN")
        conn.execute("CREATE TABLE salaries (i int)")
    local.project.dsn = server.database("postgres", user="farmer")
    refused = local.run("backup", "create")
    assert (refused.returncode, "B011" in refused.stderr, "salaries" in refused.stderr) == (6, True, True)
    assert local.ids() == []


def test_a_replication_slot_and_a_missing_role_are_found_first(
    local: Farm, garage: Garage, programs: Installation
) -> None:
    with garage.server(programs, settings={"wal_level": "logical"}) as server:
        local.project.dsn = server.database(server.create_database("farm"))
        local.project.query("CREATE TABLE a AS SELECT 1 AS i")
        local.project.query("CREATE ROLE soon_gone")
        local.project.query("GRANT SELECT ON a TO soon_gone")
        local.create()
        local.project.query("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')")
        before = local.databases()
        refused = local.run("restore", "--yes")
        assert refused.returncode == 6
        assert "B008" in refused.stderr
        assert "debezium" in refused.stderr
        local.project.query("SELECT pg_drop_replication_slot('debezium')")
        local.project.query("DROP OWNED BY soon_gone")
        local.project.query("DROP ROLE soon_gone")
        refused = local.run("restore", "--yes")
        assert refused.returncode == 6
        assert "soon_gone" in refused.stderr
        assert "soon_gone" in local.run("backup", "show", "--roles").stdout
        assert local.databases() == before


def test_without_the_right_key_nobody_reads_it(farm: Farm, tmp_path: Path) -> None:
    import pyrage

    ours, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    for name, key in (("ours", ours), ("other", other)):
        (tmp_path / name).write_text(f"# created by a test\n{key}\n")
    farm.configure(f'encrypt_to = ["{ours.to_public()}"]\n')
    farm.project.query("CREATE TABLE a AS SELECT 'plain words here' AS i FROM generate_series(1, 5000)")
    farm.create()
    for path in farm.place.objects.rglob("*"):
        assert not path.is_file() or b"plain words here" not in path.read_bytes()
    before = farm.databases()
    for env in ({}, {"TIDELOCK_AGE_KEY_FILE": str(tmp_path / "other")}, {"TIDELOCK_AGE_KEY_FILE": "/nowhere"}):
        refused = farm.run("restore", "--yes", env=env)
        assert (refused.returncode, "B005" in refused.stderr) == (6, True), refused.stderr
    assert farm.databases() == before
    farm.well("backup", "verify", "--restore", env={"TIDELOCK_AGE_KEY_FILE": str(tmp_path / "ours")})


def test_no_secret_is_in_the_manifest_or_the_output(farm: Farm) -> None:
    farm.project.query("CREATE TABLE a (i int)")
    done = farm.run("backup", "create")
    secret = farm.place.env.get("AWS_SECRET_ACCESS_KEY", "no such thing")
    manifest = next(farm.place.objects.rglob("manifest.json")).read_text()
    assert secret not in done.stdout + done.stderr + manifest
    assert json.loads(manifest)["manifest"]["rows"] == {'"public"."a"': 0}
