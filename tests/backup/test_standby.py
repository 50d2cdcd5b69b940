"""What a backup on one server of a cluster leaves to one on another: primary and standby share the system identifier."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.backup.create import node_of
from tidelock.backup.store import STARTED, Store, folder_of
from tidelock.core.backups import new_id

if TYPE_CHECKING:
    from tests.backup.conftest import Farm

STANDBY = "true 10.9.9.9 5432"
SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"


def begun(farm: Farm, node: str, ago: timedelta) -> str:
    """A backup that no session of this server is making, and that was begun some time ago."""
    backup = new_id(datetime.now(tz=UTC) - ago, b"\x12\x34")
    folder = folder_of(farm.project.dsn.rpartition("/")[2], backup)
    started = {"system": farm.project.one(SYSTEM), "id": backup, "node": node}
    store = Store(farm.place.url)
    store.put(f"{folder}/{STARTED}", json.dumps(started).encode())
    store.put(f"{folder}/01-rest.dump.zst", b"half of it")
    return backup


@pytest.mark.parametrize(("ago", "stays"), [(timedelta(hours=1), True), (timedelta(days=8), False)])
def test_a_backup_that_a_standby_is_making_is_left_alone_for_a_week(local: Farm, ago: timedelta, stays: bool) -> None:
    other = begun(local, STANDBY, ago)
    local.create()
    assert bool(list(local.place.objects.rglob(f"{other}/*"))) is stays


def test_one_that_was_killed_on_this_server_is_taken_away_at_once(local: Farm) -> None:
    with psycopg.connect(local.project.dsn) as conn:
        node = node_of(conn)
    killed = begun(local, node, timedelta(minutes=1))
    local.create()
    assert not list(local.place.objects.rglob(f"{killed}/*"))
