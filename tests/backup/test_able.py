"""What a server must have for a restore, asked before anything is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.backup.able import check_room, room_bytes
from tidelock.backup.create import Progress
from tidelock.backup.faults import CannotRestore
from tidelock.core.backups import AFFECTED, Manifest
from tidelock.postgres.address import Address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from tests.rig.postgres import Server

MANIFEST = Manifest(
    id="20261124T220501Z-4f2a", database="farm", system="", at="2026-11-24T22:05:01+00:00", took_s=1.0, tidelock="0",
    server=150000, database_bytes=5_000_000,
)  # fmt: skip
SERVER = PostgresServer(Address({"host": "db", "dbname": "farm"}))


def told(room: int | None, manifest: Manifest = MANIFEST) -> list[str]:
    said: list[str] = []
    check_room(SERVER, manifest, room, Progress(lambda text, _: said.append(text)))
    return said


def test_room_on_this_machine_is_known(cluster: Server) -> None:
    with psycopg.connect(cluster.dsn) as conn:
        assert (room_bytes(conn) or 0) > 1_000_000


def test_too_little_room_is_found_before_the_work() -> None:
    with pytest.raises(CannotRestore, match="room for 4 MB"):
        told(4_000_000)
    assert told(6_000_000) == []


def test_a_disk_elsewhere_is_said_not_to_be_checked() -> None:
    assert "not checked" in told(None)[0]


def test_some_tables_need_less_than_the_database() -> None:
    assert told(4_000_000, replace(MANIFEST, scope=AFFECTED)) == []
