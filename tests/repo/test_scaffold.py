"""`tidelock new`: the next number, and SQL that a server takes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tidelock.repo.scaffold import BadTemplate, create

if TYPE_CHECKING:
    from pathlib import Path


def test_numbers_go_on_in_the_width_that_is_there(tmp_path: Path):
    assert create(tmp_path, "First one", {}).endswith("001_first_one.sql")
    (tmp_path / "0042_x.sql").write_text("SELECT 1;")
    assert create(tmp_path, "next", {}).endswith("0043_next.sql")
    assert len(create(tmp_path / "t", "x", {}, timestamp=True).rpartition("/")[2]) == len("20260302081400_x.sql")


@pytest.mark.parametrize(
    "template",
    [
        {"add-column": "sensors.humidity:double precision"},
        {"create-table": "public.things"},
        {"index": "sensors(site, at)"},
        {"enum-value": "status:it's new"},
    ],
)
def test_templates_run_twice(tmp_path: Path, postgres_dsn: str, template: dict[str, str]):
    create(tmp_path, "x", template)
    [path] = tmp_path.iterdir()
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE sensors (site int, at timestamptz); CREATE TYPE status AS ENUM ('a')")
        for _ in range(2):
            conn.execute(path.read_bytes())


@pytest.mark.parametrize("template", [{"hypertable": "readings"}, {"hypertable": "readings:at"}])
def test_a_hypertable_template_runs_twice(tmp_path: Path, timescale_dsn: str, template: dict[str, str]):
    create(tmp_path, "x", template)
    [path] = tmp_path.iterdir()
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        for _ in range(2):
            conn.execute(path.read_bytes())


def test_an_aggregate_template_runs_twice_and_is_seen(tmp_path: Path, timescale_dsn: str):
    create(tmp_path, "raw", {"hypertable": "readings"})
    create(tmp_path, "hourly", {"aggregate": "readings_hourly:readings:1 hour"})
    with psycopg.connect(timescale_dsn, autocommit=True) as conn:
        for _ in range(2):
            for path in sorted(tmp_path.iterdir()):
                conn.execute(path.read_bytes())
        assert conn.execute("SELECT view_name FROM timescaledb_information.continuous_aggregates").fetchall() == [
            ("readings_hourly",)
        ]


@pytest.mark.parametrize(
    "template", [{"add-column": "x"}, {"index": "bad"}, {"enum-value": "x"}, {"create-table": "a b"}]
)
def test_what_cannot_be_read_is_refused_and_writes_nothing(tmp_path: Path, template: dict[str, str]):
    with pytest.raises(BadTemplate):
        create(tmp_path, "x", template)
    assert list(tmp_path.iterdir()) == []
