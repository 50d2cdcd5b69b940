"""A backup that an older Tidelock made comes back: `format1` is one, byte for byte (of PostgreSQL 15)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.backup.conftest import Farm
    from tests.rig.postgres import Server

OLD = Path(__file__).parent / "format1"


def test_a_backup_of_the_first_format_is_restored(server: Server, local: Farm) -> None:
    shutil.copytree(OLD, local.place.objects)
    local.project.dsn = server.database(server.create_database("orchard"))
    [old] = local.well("backup", "list")["backups"]
    assert old["format"] == 1
    local.well("backup", "verify", old["id"])
    local.well("restore", old["id"], "--yes", "--drop-old")  # its server is another one
    assert local.project.query('SELECT sum(length(line)), count(*) FROM "log of ""work"""') == [(1800000, 9000)]
    assert local.project.query("SELECT count(*), count(DISTINCT sort) FROM trees") == [(200, 7)]
    assert local.project.one("SELECT count(*) FROM crops_2026") == 4051
    indexes = "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid::regclass::text ~ '^(trees|crops)'"
    assert local.project.query(indexes) == [(5, True)]
