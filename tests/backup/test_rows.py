"""Rows as COPY's text: the same as pg_dump's, of tables of every kind, whole and in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.backup.farm import fill, schema, sums
from tidelock.backup import able, compare, source
from tidelock.backup.create import Progress, Wanted, create
from tidelock.backup.seal import Seal
from tidelock.backup.store import Store
from tidelock.postgres.address import address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Server
    from tidelock.core.backups import Manifest


def quiet() -> Progress:
    return Progress(lambda text, fraction: None)


def copied(dsn: str, name: str, folder: Path, jobs: int = 2) -> Manifest:
    """A backup of a database, restored under another name and compared as `restore` does."""
    server, store = PostgresServer(address(dsn)), Store(str(folder))
    made = create(server, store, Wanted(seal=Seal(), jobs=jobs), quiet())
    maker = able.restorer(server, store, made, name, jobs, quiet())
    maker.run()
    compare.look_over(server, store, made, name, quiet())
    maker.done()
    return made


def each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its size, each table is an object of its own."""
    monkeypatch.setattr("tidelock.backup.create.streams", lambda tables, jobs: [source.Stream((t,)) for t in tables])


def rows_of(made: Manifest) -> list[str]:
    return [table for each in made.pieces if each.what == "rows" for table in each.tables]


@pytest.mark.every_server
@pytest.mark.parametrize("part_bytes", [1 << 30, 1 << 16])
def test_every_table_that_can_be_is_copied_and_comes_back_the_same(
    local: Farm, programs: Installation, monkeypatch: pytest.MonkeyPatch, part_bytes: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(source, "MIXED_GROUP_BYTES", 1)
    monkeypatch.setattr(source, "PART_BYTES", part_bytes)
    dsn = local.project.dsn
    fill(dsn)
    name = f"{dsn.rpartition('/')[2]}_copy"
    made = copied(dsn, name, tmp_path / "store")
    copy = dsn.replace(dsn.rpartition("/")[2], name)
    assert sums(programs, copy) == sums(programs, dsn)
    assert schema(programs, copy) == schema(programs, dsn)
    large = '"Größen"."Maß ""x"""'
    assert (rows_of(made).count(large) > 1) == (part_bytes == 1 << 16)
    with psycopg.connect(copy) as conn:
        # Version 18 extends for a whole batch at once, and leaves the pages empty that it does not need.
        frozen = conn.execute("SELECT relallvisible > relpages * 0.95 FROM pg_class WHERE oid = %s::regclass", (large,))
        assert frozen.fetchone() == (part_bytes != 1 << 16,), "a table that is loaded in one go is frozen"


def test_every_table_whatever_its_size(
    local: Farm, programs: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    each_alone(monkeypatch)
    dsn = local.project.dsn
    fill(dsn)
    name = f"{dsn.rpartition('/')[2]}_copy"
    made = copied(dsn, name, tmp_path / "store")
    copy = dsn.replace(dsn.rpartition("/")[2], name)
    assert (sums(programs, copy), schema(programs, copy)) == (sums(programs, dsn), schema(programs, dsn))
    kinds = {each.tables[0]: each.what for each in made.pieces if each.tables}
    assert kinds['"Größen"."arten"'] == kinds['"Größen"."kinder"'] == kinds['"Größen"."teile_25"'] == "rows"
    assert kinds['"Größen"."gestreut_0"'] == kinds['"Größen"."nur_erzeugt"'] == "tables"


def test_rows_that_a_policy_would_hide_are_no_backup(server: Server, local: Farm) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE reader LOGIN")
        conn.execute("CREATE TABLE salaries AS SELECT i, repeat('x', 500) FROM generate_series(1, 9000) i")
        conn.execute("ALTER TABLE salaries ENABLE ROW LEVEL SECURITY")
        conn.execute("CREATE POLICY few ON salaries USING (i < 10)")
        conn.execute("GRANT SELECT ON salaries TO reader")
    local.project.dsn = server.database("postgres", user="reader")
    refused = local.run("backup", "create")
    assert (refused.returncode, "B011" in refused.stderr, "BYPASSRLS" in refused.stderr) == (6, True, True)
    assert local.ids() == []
