"""`tidelock new`: the next number, and SQL that a server takes twice."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import psycopg
import pytest

from tidelock.repo.scaffold import BadTemplate, CannotCreate, create


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
        {"add-column": "order.group:text"},
        {"add-column": '"Odd Name"."a ""b""":text'},
        {"create-table": "select"},
        {"create-table": 'public."Te st"'},
        {"index": "order(user)"},
        {"index": '"Odd Name"("Wo hin" DESC, user)'},
        {"enum-value": "Status:b"},
    ],
)
def test_templates_run_twice(tmp_path: Path, postgres_dsn: str, template: dict[str, str]):
    create(tmp_path, "x", template)
    [path] = tmp_path.iterdir()
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE sensors (site int, at timestamptz); CREATE TYPE status AS ENUM ('a')")
        conn.execute('CREATE TABLE "order" ("user" int); CREATE TABLE "Odd Name" ("Wo hin" int, "user" int)')
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


def test_indexes_with_long_names_are_all_built(tmp_path: Path, postgres_dsn: str):
    table = "a_rather_long_table_name_for_measurements_of_soil_humid"
    columns = ("column_one", "column_two", "column_täglich_täglich")
    for column in columns:
        create(tmp_path, "x", {"index": f"{table}({column})"})
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE TABLE {table} (column_one int, column_two int, column_täglich_täglich int)".encode())
        for _ in range(2):
            for path in sorted(tmp_path.iterdir()):
                conn.execute(path.read_bytes())
        built = conn.execute("SELECT indexname::text FROM pg_indexes WHERE tablename = %s", [table]).fetchall()
    assert len(built) == len(columns)
    assert all(name in "".join(path.read_text() for path in tmp_path.iterdir()) for (name,) in built)


@pytest.mark.parametrize("description", ["a\nDROP TABLE b", "a\rDROP TABLE b", "a\x0b\x1bDROP\u2028TABLE \udcff b"])
def test_a_description_stays_a_comment_of_one_line(tmp_path: Path, description: str):
    create(tmp_path, description, {})
    [path] = tmp_path.iterdir()
    first, rest = path.read_text().split("\n", 1)
    assert first == "-- a DROP TABLE b"
    assert "DROP" not in rest
    assert path.name == "001_a_drop_table_b.sql"


def test_a_description_of_any_length_gives_a_file(tmp_path: Path):
    assert create(tmp_path, "x" * 300, {}).endswith("x.sql")
    create(tmp_path, "", {})
    assert sorted(path.read_text().split("\n")[0] for path in tmp_path.iterdir()) == ["-- change", f"-- {'x' * 300}"]


def test_what_the_system_does_not_let_be_made_is_told_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below", tmp_path / ("x" * 300), Path("/proc/none")):
        with pytest.raises(CannotCreate, match=r"cannot be made: \w") as caught:
            create(place, "x", {})
        assert str(place) in caught.value.message
        assert "--dir" in caught.value.hint


def test_a_full_disk_leaves_no_empty_file(tmp_path: Path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(CannotCreate, match="File too large"):
            create(tmp_path, "x", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []
