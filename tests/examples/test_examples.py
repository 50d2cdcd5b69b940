"""The examples run as psql runs them, and running them again changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.rig.dump import differences, dump
from tests.rig.requirement import missing

if TYPE_CHECKING:
    from tests.rig.dump import Dump
    from tests.rig.installation import Installation
    from tests.rig.postgres import Server

EXAMPLES = Path(__file__).parents[2] / "examples"


ALONE = "-- tidelock: rebuild"
"""A file with this is for Tidelock alone: psql would lose history with it."""


def run_with_psql(psql: str, example: str, dsn: str) -> None:
    """As the seeds do it: one psql for each file, in order."""
    for path in sorted((EXAMPLES / example / "migrations").glob("*.sql")):
        if ALONE in path.read_text(encoding="utf-8"):
            continue
        result = subprocess.run(
            [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr


def run_twice(psql: str, example: str, dsn: str) -> Dump:
    run_with_psql(psql, example, dsn)
    first = dump(dsn)
    run_with_psql(psql, example, dsn)
    assert not [str(each) for each in differences(first, dump(dsn))]
    return first


@pytest.mark.every_server
def test_the_farm_runs_under_psql_and_running_it_again_changes_nothing(
    programs: Installation, postgres_dsn: str
) -> None:
    found = run_twice(programs.program("psql"), "farm", postgres_dsn)
    assert found.objects["enum", "public.parcel_status"] == "fallow, planned, sown, harvested"
    assert "INVALID" not in found.objects["index", "public.ndvi_results_parcel_day"]
    assert ("policy", "public.parcels.parcels_of_tenant") in found.objects
    assert found.rows["public.crops"].total() == 6
    assert found.rows["public.marketplace_modules"].total() == 3


def test_the_telemetry_runs_under_psql_and_running_it_again_changes_nothing(timescale_dsn: str) -> None:
    psql = shutil.which("psql") or missing("psql", "apt-get install postgresql-client")
    found = run_twice(psql, "telemetry", timescale_dsn)
    assert {name for section, name in found.objects if section == "hypertable"} == {
        "public.temperature_readings", "public.energy_consumption",
    }  # fmt: skip
    assert ("continuous aggregate", "public.energy_hourly") in found.objects
    assert {name for section, name in found.objects if section == "job"} == {
        "policy_refresh_continuous_aggregate on public.energy_hourly",
        "policy_refresh_continuous_aggregate on public.energy_daily",
        "policy_compression on public.energy_consumption",
        "policy_retention on public.energy_consumption",
    }


def run_with_tidelock(example: str, dsn: str) -> None:
    directory = EXAMPLES / example / "migrations"
    result = subprocess.run(
        [sys.executable, "-m", "tidelock", "apply", "--dir", directory, "--database", dsn],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.every_server
def test_tidelock_makes_of_the_farm_what_psql_makes_of_it(
    programs: Installation, cluster: Server, postgres_dsn: str
) -> None:
    other = cluster.create_database()
    run_with_psql(programs.program("psql"), "farm", cluster.database(other))
    run_with_tidelock("farm", postgres_dsn)
    left, right = (dump(each, fed_columns=False) for each in (cluster.database(other), postgres_dsn))
    cluster.drop_database(other)
    assert [each.what for each in differences(left, right)] == ["rows of public.schema_migrations"]
    assert right.rows["public.schema_migrations"].total() == 11


def test_tidelock_applies_the_telemetry_and_has_nothing_to_do_the_second_time(timescale_dsn: str) -> None:
    run_with_tidelock("telemetry", timescale_dsn)
    first = dump(timescale_dsn)
    assert first.rows["public.schema_migrations"].total() == 9
    run_with_tidelock("telemetry", timescale_dsn)
    assert not [str(each) for each in differences(first, dump(timescale_dsn))]


def test_the_script_of_the_telemetry_loses_nothing(timescale_dsn: str, tmp_path: Path) -> None:
    _ = shutil.which("psql") or missing("psql", "apt-get install postgresql-client")
    command = tmp_path / "tidelock"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tidelock "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    result = subprocess.run(
        ["sh", EXAMPLES / "telemetry" / "try.sh"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "DATABASE_URL": timescale_dsn, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "L042 energy_hourly: " in result.stdout + result.stderr
    assert "energy_hourly rebuilt: " in result.stdout + result.stderr
    assert result.stdout.endswith("Nothing is lost.\n")


@pytest.mark.parametrize("example", ["farm", "telemetry"])
def test_every_example_has_settings_and_numbered_files(example: str) -> None:
    assert (EXAMPLES / example / "tidelock.toml").is_file()
    names = [path.name for path in sorted((EXAMPLES / example / "migrations").glob("*.sql"))]
    assert names
    assert all(name[:3].isdigit() and name[3] == "_" for name in names)
