"""What stays out of a backup, what a restore must not leave behind, and a live database that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
import zstandard

from tidelock.backup.clients import Clients
from tidelock.backup.create import Progress
from tidelock.backup.faults import CannotRestore, NotDropped
from tidelock.backup.restore import Restorer
from tidelock.backup.store import Store
from tidelock.core.backups import Manifest
from tidelock.postgres.address import address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Server

SUBSCRIBES = """
CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=9 user=u password=hunter2secret' PUBLICATION p
  WITH (connect = false, slot_name = 'the_live_one');
COMMENT ON SUBSCRIPTION s IS 'from the north';
"""
UNSUBSCRIBE = ("ALTER SUBSCRIPTION s SET (slot_name = NONE)", "DROP SUBSCRIPTION s")


@pytest.fixture
def subscriber(server: Server, local: Farm) -> Iterator[Farm]:
    """A database with a subscription."""
    local.project.dsn = dsn = server.database(server.create_database("sub"))
    for each in ("CREATE TABLE t AS SELECT 1 AS i", *SUBSCRIBES.strip().split(";\n")):
        local.project.query(each)
    yield local
    local.project.dsn = dsn
    for each in UNSUBSCRIBE:
        local.project.query(each)


def test_a_subscription_is_no_part_of_a_backup_and_keeps_no_shadow_from_being_dropped(subscriber: Farm) -> None:
    made = subscriber.create()
    before = subscriber.databases()
    subscriber.well("backup", "verify", "--restore")
    assert subscriber.databases() == before
    subscriber.well("restore", made, "--into", "sub_copy")
    subscriber.project.dsn = subscriber.project.dsn.rpartition("/")[0] + "/sub_copy"
    here = (
        "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = 'sub_copy')"
    )
    assert subscriber.project.one(here) == 0
    for path in subscriber.place.objects.rglob("*.zst"):
        with path.open("rb") as file:
            assert b"hunter2secret" not in zstandard.ZstdDecompressor().stream_reader(file).read(), path


def test_a_database_that_cannot_be_dropped_is_named_with_what_went_wrong_before(
    subscriber: Farm, server: Server, programs: Installation
) -> None:
    manifest = Manifest(
        id="i", database="sub", system="", at="2026-11-24T00:00:00+00:00", took_s=1, tidelock="0", server=1
    )

    where = PostgresServer(address(server.dsn))
    clients = Clients(programs.bin, programs.major)
    maker = Restorer(where, Store(subscriber.place.url), manifest, "sub", 1, Progress(lambda *_: None), clients)
    with pytest.raises(NotDropped, match="database sub, made by this restore, could not be dropped") as caught:
        maker.drop()
    assert "DROP DATABASE sub" in caught.value.hint
    cause = CannotRestore("t", "it differs", "look")
    maker.drop(cause)
    assert "could not be dropped" in cause.detail


def gone(farm: Farm) -> None:
    """Somebody drops the live database."""
    dsn = farm.project.dsn
    with psycopg.connect(dsn.rpartition("/")[0] + "/postgres", autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {dsn.rpartition('/')[2]}".encode())


def test_a_live_database_that_is_gone_is_brought_back(local: Farm) -> None:
    local.project.query("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    local.create()
    before = local.databases()
    gone(local)
    back = local.run("restore", "--latest")  # nothing is lost by it, so nothing is asked
    assert back.returncode == 0, back.stderr
    assert "The old one is" not in back.stdout
    assert local.project.one("SELECT count(*) FROM t") == 1000
    assert local.databases() == before
