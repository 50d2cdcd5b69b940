"""`prune` never takes a backup that one of the last destructive runs stands on, however the run came to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidelock.core.backups import Manifest

if TYPE_CHECKING:
    from tests.backup.conftest import Farm

NOTHING = ("--keep-daily", "0", "--keep-weekly", "0", "--keep-monthly", "0", "--min-keep", "1")


@pytest.fixture
def grown(local: Farm) -> Farm:
    """A table, and a pending file that drops a column."""
    local.project.write("001_table.sql", "CREATE TABLE t AS SELECT 1 AS id, 'x' AS v;\n")
    local.well("apply")
    local.project.write("002_drop.sql", "ALTER TABLE t DROP COLUMN v;\n")
    return local


def accepted(farm: Farm) -> str:
    """A backup that a person made and verified, and that a run then took for its own."""
    farm.configure('max_age = "1h"\n')
    made = farm.create()
    farm.well("backup", "verify", made)
    farm.well("apply")
    assert farm.project.one("SELECT backup FROM schema_migrations WHERE version = 2") == made
    return made


@pytest.mark.parametrize("known", ["store", "ledger"])
def test_one_that_max_age_accepted_stays(grown: Farm, known: str) -> None:
    made = accepted(grown)
    if known == "ledger":  # as an older Tidelock left it
        next(grown.place.objects.rglob("used.json")).unlink()
    else:
        grown.project.query("UPDATE schema_migrations SET backup = NULL")
    grown.well("backup", "verify", grown.create())
    grown.well("backup", "prune", *NOTHING)
    assert made in grown.ids()
    grown.well("rollback", "--to", "2", "--yes", "--drop-old")
    assert grown.project.one("SELECT v FROM t") == "x"


def test_prune_works_while_the_live_database_is_gone(grown: Farm) -> None:
    made = accepted(grown)
    newest = grown.create()
    name, dsn = grown.project.dsn.rpartition("/")[2], grown.project.dsn
    grown.project.dsn = dsn.rpartition("/")[0] + "/postgres"
    grown.project.query(f"DROP DATABASE {name}")
    grown.project.dsn = dsn
    grown.well("backup", "prune", *NOTHING)
    assert set(grown.ids()) == {made, newest}


def test_runs_that_destroy_nothing_push_none_out(grown: Farm) -> None:
    grown.configure('before = "always"\n')
    grown.well("apply")
    made = grown.project.one("SELECT backup FROM schema_migrations WHERE version = 2")
    for version in range(3, 14):
        grown.project.write(f"{version:03}_more.sql", f"CREATE TABLE t{version} (i int);\n")
        grown.well("apply")
    assert len(grown.ids()) == 12
    grown.well("backup", "prune", *NOTHING)
    assert (made in grown.ids(), len(grown.ids())) == (True, 2)


def test_a_backup_that_does_not_say_what_its_run_did_counts_as_one_of_a_destructive_run() -> None:
    told = {"database": "d", "system": "1", "took_s": 1.0, "tidelock": "0", "server": 180000, "run": "plan"}
    assert Manifest(id="a", at="2026-11-24T00:00:00+00:00", **told).destructive  # type: ignore[arg-type]


def test_one_whose_objects_are_gone_from_the_store_opens_no_gate(grown: Farm) -> None:
    grown.configure('max_age = "1h"\n')
    made = grown.create()
    grown.well("backup", "verify", made)
    next(grown.place.objects.rglob("01-rest.dump*")).unlink()
    done = grown.run("apply")
    assert done.returncode == 0, done.stderr
    assert f"backup {made} is verified, but 01-rest.dump.zst is not in" in done.stdout + done.stderr
    assert grown.project.one("SELECT backup FROM schema_migrations WHERE version = 2") != made
