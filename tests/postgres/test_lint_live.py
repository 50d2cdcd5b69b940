"""`lint --database`: a live database says what no file says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rig.project import Project


def findings(project: Project, *arguments: str) -> list[dict[str, str]]:
    done = project.tidelock("lint", "--json", *arguments)
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return found


def test_a_table_that_no_file_makes_has_columns_and_rows(project: Project):
    project.query("CREATE TABLE parcels (id bigint PRIMARY KEY, code varchar(20), area integer)")
    project.query("INSERT INTO parcels SELECT n, n, n FROM generate_series(1, 5000) n")
    project.query("ANALYZE parcels")
    project.write("001_code.sql", "ALTER TABLE parcels ALTER COLUMN code TYPE varchar(40);\n")
    project.write("002_area.sql", "ALTER TABLE parcels ALTER COLUMN area TYPE bigint;\n")
    [found] = findings(project, "--select", "LK020,LK021")
    assert (found["path"].rpartition("/")[2], found["code"]) == ("002_area.sql", "LK020")
    assert found["message"].endswith("parcels has about 5,000 rows there")


def test_only_what_is_pending_is_spoken_of(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id bigint PRIMARY KEY);\n")
    assert project.apply().failure is None
    project.write("002_b.sql", "CREATE TABLE b (id bigint PRIMARY KEY);\n")
    found = findings(project, "--select", "ID001")
    assert [each["path"].rpartition("/")[2] for each in found] == ["002_b.sql"]


def test_a_database_that_is_not_there_is_said(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id bigint PRIMARY KEY);\n")
    done = project.tidelock(
        "lint", "--database", "postgresql://nobody@127.0.0.1:1/none", "--wait", "1s", "--dir", ".", where=False
    )
    assert done.returncode == 75
    assert "T001" in done.stderr
