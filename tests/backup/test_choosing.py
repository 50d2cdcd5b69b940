"""Which stored backup is meant, when the store has those of other servers, damaged ones and ones of some tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rig.postgres import Garage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Server


@pytest.fixture
def elsewhere(garage: Garage, programs: Installation, tmp_path: Path) -> Iterator[Server]:
    """A server that is no copy of the others: with a system identifier of its own."""
    folder = garage.folder / tmp_path.name
    folder.mkdir()
    with Garage(folder).server(programs) as server:
        yield server


@pytest.fixture
def two(elsewhere: Server, local: Farm) -> tuple[Farm, str, str]:
    """A farm, and the DSNs of a database of one name here and on another server."""
    dsn = elsewhere.database(elsewhere.create_database(local.project.dsn.rpartition("/")[2]))
    return local, local.project.dsn, dsn


def test_the_backup_of_another_server_opens_no_gate_and_is_not_rolled_back_to(two: tuple[Farm, str, str]) -> None:
    farm, prod, staging = two
    farm.configure('max_age = "1h"\n')
    farm.project.dsn = staging
    farm.project.query("CREATE TABLE t AS SELECT 'STAGING' AS t")
    theirs = farm.create()
    farm.well("backup", "verify", theirs)
    farm.project.dsn = prod
    farm.project.query("CREATE TABLE t AS SELECT 'PROD' AS t")
    farm.project.write("001_empty.sql", "TRUNCATE t;\n")
    farm.well("apply")
    [ours] = set(farm.ids()) - {theirs}
    assert farm.project.one("SELECT backup FROM schema_migrations") == ours
    farm.project.dsn = staging
    farm.create()
    farm.project.dsn = prod
    farm.well("rollback", "--yes", "--drop-old")
    assert farm.project.one("SELECT t FROM t") == "PROD"


def test_only_an_id_leads_to_the_backup_of_another_server(two: tuple[Farm, str, str]) -> None:
    farm, prod, staging = two
    farm.project.dsn = staging
    farm.project.query("CREATE TABLE t AS SELECT 'STAGING' AS t")
    theirs = farm.create()
    farm.project.dsn = prod
    farm.project.write("007_a.sql", "CREATE TABLE a (i int);\n")
    farm.well("apply")
    for command in (("restore", "--yes"), ("restore", "--before", "7", "--yes"), ("rollback", "--yes")):
        refused = farm.run(*command)
        assert (refused.returncode, "B009" in refused.stderr) == (6, True), refused.stderr
        assert "1 are of another one (system identifier" in refused.stderr
        assert f"`tidelock restore {theirs}`" in refused.stderr
    farm.well("restore", theirs, "--yes", "--drop-old")
    assert farm.project.one("SELECT t FROM t") == "STAGING"


def test_prune_leaves_the_backups_of_another_server_alone(two: tuple[Farm, str, str]) -> None:
    farm, prod, staging = two
    farm.project.dsn = staging
    theirs = [farm.create(), farm.create()]
    farm.project.dsn = prod
    old, new = farm.create(), farm.create()
    none = ("--keep-daily", "0", "--keep-weekly", "0", "--keep-monthly", "0", "--min-keep", "1")
    pruned = farm.run("backup", "prune", *none)
    assert "1 of 2 gone, 1 stay. 2 of another server are not touched." in pruned.stdout
    assert sorted(farm.ids()) == sorted([*theirs, new])
    assert old not in farm.ids()


def test_the_list_says_which_are_of_another_server(two: tuple[Farm, str, str]) -> None:
    farm, prod, staging = two
    farm.project.dsn = staging
    theirs = farm.create()
    farm.project.dsn = prod
    ours = farm.create()
    lines = {line.split()[0]: line for line in farm.run("backup", "list").stdout.splitlines()}
    assert ("of another server" in lines[theirs], "of another server" in lines[ours]) == (True, False)
    listed = farm.well("backup", "list")["backups"]
    assert {each["id"]: each["this_server"] for each in listed} == {theirs: False, ours: True}


def test_the_list_needs_no_server(two: tuple[Farm, str, str], elsewhere: Server) -> None:
    farm, _, staging = two
    farm.project.dsn = staging
    made = farm.create()
    elsewhere.stop()
    [listed] = farm.well("backup", "list")["backups"]
    assert (listed["id"], listed["this_server"]) == (made, None)
    assert farm.well("backup", "show")["backups"][0]["id"] == made
    elsewhere.start()


# --- a damaged manifest ----------------------------------------------------------------------------------------------


def damage(farm: Farm, backup: str) -> None:
    path = next(farm.place.objects.rglob(f"{backup}/manifest.json"))
    path.write_text(path.read_text().replace("took_s", "tookX_s"))


def test_a_damaged_manifest_is_listed_as_such_and_the_others_are_used(local: Farm) -> None:
    local.project.query("CREATE TABLE t AS SELECT 1 AS i")
    old, new = local.create(), local.create()
    damage(local, old)
    listed = local.well("backup", "list")
    assert [each["id"] for each in listed["backups"]] == [new]
    assert [each["id"] for each in listed["damaged"]] == [old]
    assert f"{old}" in local.run("backup", "list").stdout
    assert "is damaged" in local.run("backup", "list").stdout
    local.well("backup", "verify")
    local.well("restore", "--yes", "--drop-old")
    local.configure('max_age = "1h"\n')
    local.project.write("001_empty.sql", "TRUNCATE t;\n")
    local.well("apply")
    assert local.project.one("SELECT backup FROM schema_migrations") == new
    local.well("backup", "prune", "--min-keep", "1")
    refused = local.run("restore", old, "--yes")
    assert (refused.returncode, "B002" in refused.stderr) == (6, True), refused.stderr


def test_no_older_backup_is_restored_in_place_of_a_damaged_one_unless_it_is_named(local: Farm) -> None:
    local.project.query("CREATE TABLE t AS SELECT 1 AS i")
    old, new = local.create(), local.create()
    damage(local, new)
    refused = local.run("restore", "--yes")
    assert (refused.returncode, "B002" in refused.stderr, new in refused.stderr) == (6, True, True), refused.stderr
    local.well("restore", old, "--yes", "--drop-old")
