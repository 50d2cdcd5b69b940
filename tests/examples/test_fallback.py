"""The farm's critical tables: a broken migration, the fallback, the mended migration; the end is as without any of it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from tests.examples.test_examples import EXAMPLES
from tests.rig.dump import Dump, differences, dump
from tests.rig.postgres import Server
from tests.rig.project import Project

TABLES = {
    "ndvi_jobs": "006_ndvi_tables.sql",
    "ndvi_results": "006_ndvi_tables.sql",
    "marketplace_modules": "024_module_registry.sql",
    "tenant_installed_modules": "024_module_registry.sql",
}
BROKEN = "CREATE TABLE broken (;\n"


@pytest.fixture
def farm(tmp_path: Path, postgres_dsn: str) -> Project:
    shutil.copytree(EXAMPLES / "farm", tmp_path / "farm")
    return Project(tmp_path / "farm", postgres_dsn)


def applied(farm: Project) -> tuple[int, str]:
    done = farm.tidelock("apply", "--database", farm.dsn, where=False)
    return done.returncode, done.stdout + done.stderr


def state(farm: Project) -> Dump:
    return dump(farm.dsn, fed_columns=False)


@pytest.fixture
def undisturbed(server: Server, tmp_path: Path) -> Dump:
    shutil.copytree(EXAMPLES / "farm", tmp_path / "whole")
    whole = Project(tmp_path / "whole", server.database(server.create_database()))
    assert applied(whole)[0] == 0
    return state(whole)


@pytest.mark.parametrize("table", TABLES)
def test_the_end_is_as_without_the_fallback(farm: Project, undisturbed: Dump, table: str) -> None:
    path = farm.folder / "migrations" / TABLES[table]
    whole = path.read_text()
    path.write_text(whole + BROKEN)
    code, said = applied(farm)
    assert code == 8, said
    assert "The application can start." in said
    assert table in said
    assert farm.one("SELECT to_regclass(%s) IS NOT NULL", table)
    path.write_text(whole)
    code, said = applied(farm)
    assert code == 0, said
    assert not [str(each) for each in differences(undisturbed, state(farm))]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_and_in_whatever_order_it_is_mended(farm: Project, undisturbed: Dump, seed: int) -> None:
    """Property: break some files, apply, mend one after the other with an apply between."""
    chance = random.Random(seed)
    files = sorted((farm.folder / "migrations").glob("*.sql"))
    broken = chance.sample(files, k=chance.randint(1, 4))
    texts = {path: path.read_text() for path in broken}
    for path, text in texts.items():
        lines = text.splitlines(keepends=True)
        cut = chance.randint(0, len(lines))
        path.write_text("".join([*lines[:cut], "\n;", BROKEN, *lines[cut:]]))
    code, said = applied(farm)
    assert code in (5, 8), said
    for path in chance.sample(broken, k=len(broken)):
        path.write_text(texts[path])
        code, said = applied(farm)
        assert code in (0, 5, 8), said
    assert code == 0, said
    assert not [str(each) for each in differences(undisturbed, state(farm))]


def test_a_table_whose_fallback_cannot_run_is_said_to_be_missing(farm: Project) -> None:
    (farm.folder / "migrations" / "001_tenants.sql").write_text(BROKEN)
    code, said = applied(farm)
    assert code == 8
    assert "The application cannot start: a critical table is missing." in said
    assert 'relation "tenants" does not exist' in said
