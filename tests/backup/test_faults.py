"""Whatever breaks: no half backup is shown, the live database is as it was, the next try succeeds, nothing is left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.rig.line import Line
from tests.rig.loopback import HOST
from tests.rig.requirement import missing
from tidelock.postgres.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backup.conftest import Farm
    from tests.rig.postgres import Server

MANY = int(os.environ.get("TIDELOCK_TEST_KILLS", "6"))
"""Kills of each command; 50 for the proof."""
ROWS = """
CREATE TABLE readings AS SELECT i AS id, md5(i::text) AS a, md5((i * 7)::text) AS b FROM generate_series(1, {rows}) i;
CREATE TABLE sites AS SELECT i AS id FROM generate_series(1, 1000) i;
"""


def grow(farm: Farm, rows: int = 40000) -> None:
    farm.project.query(ROWS.format(rows=rows))


def state(farm: Farm) -> tuple[object, ...]:
    """The live database: rows and schema."""
    with psycopg.connect(farm.project.dsn, autocommit=True) as conn:
        rows = conn.execute("SELECT count(*), sum(hashtext(r::text)) FROM readings r").fetchone()
        return (rows, take(conn).to_json())


def leftovers(farm: Farm) -> list[str]:
    """Databases that a restore made and did not finish."""
    return sorted(name for name in farm.databases() if name.startswith("tidelock_"))


def objects(farm: Farm) -> list[Path]:
    return sorted(path for path in farm.place.objects.rglob("*") if path.is_file())


def folders(farm: Farm) -> int:
    """Folders of backups, whole ones and others."""
    return len({path.parent for path in objects(farm)})


# --- one flipped byte -------------------------------------------------------------------------------------------------


def flips(path: Path) -> Iterator[int]:
    """Offsets at which a byte is flipped: the ends, the middle, somewhere."""
    size = path.stat().st_size
    yield from sorted({0, size - 1, size // 2, random.Random(path.name).randrange(size)})


def test_one_flipped_byte_anywhere_is_refused(local: Farm) -> None:
    grow(local, 30000)
    local.create()
    assert any(path.name.endswith(".copy.zst") for path in objects(local)), "the rows of a large table are an object"
    before, databases = state(local), local.databases()
    tried = 0
    for path in objects(local):
        whole = path.read_bytes()
        for offset in flips(path):
            path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
            for command in (("backup", "verify"), ("restore", "--yes")):
                refused = local.run(*command)
                assert refused.returncode == 6, f"{command} {path.name} at {offset}: {refused.stdout}{refused.stderr}"
                assert "Traceback" not in refused.stderr
            tried += 1
        path.write_bytes(whole)
    assert tried >= 20
    assert (state(local), local.databases()) == (before, databases)
    local.well("backup", "verify")


def test_a_lost_and_a_shortened_object_are_refused(local: Farm) -> None:
    grow(local, 3000)
    local.create()
    before, databases = state(local), local.databases()
    path = next(each for each in objects(local) if "rest" in each.name or "tables" in each.name)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        for command in (("backup", "verify"), ("restore", "--yes")):
            refused = local.run(*command)
            assert refused.returncode == 6, refused.stderr
            assert "Traceback" not in refused.stderr
        path.write_bytes(whole)
    assert (state(local), local.databases()) == (before, databases)


# --- the store fails --------------------------------------------------------------------------------------------------


@pytest.fixture
def small(local: Farm, tmp_path: Path) -> Iterator[Farm]:
    """A store of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing("a small file system", "root may mount a tmpfs", package=False)
    local.place.url, local.place.objects = str(folder / "store"), folder / "store"
    try:
        yield local
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_store_that_fills_up_keeps_nothing_of_it(small: Farm) -> None:
    grow(small, 100_000)
    refused = small.run("backup", "create")
    assert refused.returncode == 6, refused.stderr
    assert "B001" in refused.stderr
    assert small.ids() == []
    assert objects(small) == []
    small.project.query("TRUNCATE readings")
    assert small.ids() != [small.create()]


def begin(farm: Farm, *arguments: str) -> subprocess.Popen[str]:
    farm.configure()
    return farm.project.start(*arguments, env={**farm.place.env})


def until(seen: object, what: str, wait_s: float = 30.0) -> None:
    """Return when a function says yes."""
    ends = time.monotonic() + wait_s
    while not seen():  # type: ignore[operator]
        assert time.monotonic() < ends, what
        time.sleep(0.01)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_store_that_dies_in_mid_upload_leaves_no_backup(farm: Farm) -> None:
    assert farm.place.server is not None
    grow(farm, 400_000)
    running = begin(farm, "backup", "create")
    until(lambda: objects(farm), "something is being written")
    farm.place.server.kill()
    _, said = running.communicate(timeout=200)
    assert running.returncode == 6, said
    assert "B001" in said
    farm.place.server.start()
    assert farm.ids() == []
    made = farm.create()
    assert (farm.ids(), folders(farm)) == ([made], 1)


def over(farm: Farm, line: Line) -> dict[str, str]:
    """The way to the store over a line."""
    return {**farm.place.env, "AWS_ENDPOINT_URL": f"http://{HOST}:{line.port}"}


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_line_that_is_cut_anywhere_costs_a_try_and_never_a_backup(farm: Farm) -> None:
    assert farm.place.server is not None
    grow(farm, 100_000)
    farm.create()
    size = sum(path.stat().st_size for path in objects(farm))
    known = farm.ids()
    for place in range(10):
        with Line(farm.place.server.port, fails_after=place * size // 10 + 1) as line:
            done = farm.run("backup", "create", env=over(farm, line))
            assert line.failed
        assert done.returncode in (0, 6), done.stderr
        assert "Traceback" not in done.stderr
        made = sorted(set(farm.ids()) - set(known))
        assert len(made) == (done.returncode == 0)
        for each in made:  # the line was made again, and what was sent twice is stored once
            farm.well("backup", "verify", each)
        known += made
    last = farm.create()
    assert (sorted(farm.ids()), folders(farm)) == (sorted([*known, last]), len(known) + 1)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_line_that_goes_silent_is_given_up_and_tried_again(farm: Farm) -> None:
    assert farm.place.server is not None
    grow(farm, 100_000)
    with Line(farm.place.server.port, fails_after=1_000_000, silent=True) as line:
        done = farm.run("backup", "create", env=over(farm, line))
    assert done.returncode in (0, 6), done.stderr
    assert len(farm.ids()) == (done.returncode == 0)


# --- the server fails -------------------------------------------------------------------------------------------------


def test_a_server_that_dies_in_mid_dump_leaves_no_backup(server: Server, local: Farm) -> None:
    local.project.dsn = server.database(server.create_database("farm"))
    grow(local, 400_000)
    running = begin(local, "backup", "create")
    until(lambda: objects(local), "something is being written")
    server.kill9_all()
    _, said = running.communicate(timeout=100)
    assert running.returncode in (6, 75), said
    assert "Traceback" not in said
    server.start()
    assert local.ids() == []
    made = local.create()
    assert (local.ids(), folders(local)) == ([made], 1)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def killed(farm: Farm, took_s: float, chance: random.Random, *arguments: str) -> bool:
    """Start a command and kill it at a random moment; False when it was done before that."""
    running = begin(farm, *arguments)
    try:
        running.wait(chance.uniform(0.15, took_s))
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
    running.communicate()
    return running.returncode == -signal.SIGKILL


def timed(farm: Farm, *arguments: str) -> float:
    began = time.monotonic()
    farm.well(*arguments)
    return time.monotonic() - began


def test_a_killed_create_is_never_shown_and_swept_by_the_next(local: Farm) -> None:
    grow(local)
    took_s, chance, whole = timed(local, "backup", "create"), random.Random(6), 1
    proved: set[str] = set()
    for _ in range(MANY):
        whole += not killed(local, took_s, chance, "backup", "create")
        for each in set(local.ids()) - proved:
            local.well("backup", "verify", each)
            proved.add(each)
    local.create()
    assert len(local.ids()) >= whole + 1
    until(lambda: local.create() and folders(local) == len(local.ids()), "what was left is swept")


def test_a_killed_restore_harms_nothing_and_is_swept_by_the_next(local: Farm) -> None:
    grow(local)
    local.create()
    before, chance = state(local), random.Random(7)
    took_s = timed(local, "restore", "--yes", "--drop-old")
    for _ in range(MANY):
        killed(local, took_s, chance, "restore", "--yes", "--drop-old")
        assert state(local) == before
    until(lambda: local.well("restore", "--yes", "--drop-old") and not leftovers(local), "what was left is swept", 60)
    assert state(local) == before


def test_a_killed_prune_leaves_whole_backups_alone(local: Farm) -> None:
    grow(local, 2000)
    none = ("--keep-daily", "0", "--keep-weekly", "0", "--keep-monthly", "0", "--min-keep", "1")
    local.create()
    shutil.copytree(local.place.objects, kept := local.place.objects.parent / "kept")
    newest, chance = local.create(), random.Random(8)
    local.create()
    took_s = timed(local, "backup", "prune", *none)
    assert newest not in local.ids()
    for _ in range(MANY):
        shutil.copytree(kept, local.place.objects, dirs_exist_ok=True)
        killed(local, took_s, chance, "backup", "prune", *none)
        local.well("backup", "verify", min(local.ids()))  # the one that was to go, when it is still shown
    local.well("backup", "prune", *none)
    assert len(local.ids()) >= 1
    local.create()
    assert folders(local) == len(local.ids())


def test_a_database_that_is_not_ours_is_never_swept(local: Farm) -> None:
    grow(local, 100)
    local.create()
    mark = "tidelock: a restore that is not finished"
    local.project.query("CREATE DATABASE tidelock_restore_mine")  # by name, without the mark
    local.project.query("CREATE DATABASE ours_by_mark_alone")
    local.project.query(f"COMMENT ON DATABASE ours_by_mark_alone IS '{mark}'")
    local.project.query("CREATE DATABASE tidelock_restore_busy")
    local.project.query(f"COMMENT ON DATABASE tidelock_restore_busy IS '{mark}'")
    local.project.query("CREATE DATABASE tidelock_restore_left")
    local.project.query(f"COMMENT ON DATABASE tidelock_restore_left IS '{mark}'")
    with psycopg.connect(local.project.dsn.rpartition("/")[0] + "/tidelock_restore_busy"):
        local.well("backup", "verify", "--restore")
    there = local.databases()
    assert {"tidelock_restore_mine", "ours_by_mark_alone", "tidelock_restore_busy"} <= there
    assert "tidelock_restore_left" not in there


def test_what_others_keep_in_the_store_stays(farm: Farm) -> None:
    first = farm.create()
    folder = objects(farm)[0].parent.parent
    strange = [folder / each for each in ("README.txt", "uploads/photo.jpg", "20261124T220501123Z-4f2a/notes.txt")]
    for each in strange:
        each.parent.mkdir(exist_ok=True)
        each.write_text("of somebody else")
    second = farm.create()
    assert {first, second} <= set(farm.ids())
    assert [each.read_text() for each in strange] == ["of somebody else"] * 3
