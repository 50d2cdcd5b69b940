"""Throw-away databases: made, cloned, dropped, and swept away after a run that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tidelock.postgres import embedded
from tidelock.postgres.address import address
from tidelock.postgres.shadow import PREFIX, Shadow, ShadowRefused

if TYPE_CHECKING:
    from tests.rig.postgres import Server

ORPHAN = """
import sys, time
from tidelock.postgres.address import address
from tidelock.postgres.shadow import Shadow
shadow = Shadow(address(sys.argv[1])).__enter__()
name = shadow.create()
with shadow.connect(name) as conn:
    conn.execute("CREATE ROLE orphan_reader; CREATE TABLE t (i int); GRANT SELECT ON t TO orphan_reader")
shadow.note_roles({"orphan_reader"})
print(name, flush=True)
time.sleep(60)
"""
SERVER = """
import sys, time
from pathlib import Path
from tidelock.postgres import embedded
with embedded.server(Path(sys.argv[1])) as running:
    print(running.local.parameters["host"], flush=True)
    time.sleep(60)
"""


def databases(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database") if name.startswith(PREFIX)}


def test_a_clone_has_what_its_template_has_and_nothing_is_left(cluster: Server):
    with Shadow(address(cluster.dsn)) as shadow:
        first = shadow.create()
        with shadow.connect(first) as conn:
            conn.execute("CREATE TABLE t AS SELECT 7 AS i")
        second = shadow.clone(first)
        with shadow.connect(second) as conn:
            assert conn.execute("SELECT i FROM t").fetchone() == (7,)
        assert {first, second} <= databases(cluster.dsn)
    assert not {first, second} & databases(cluster.dsn)


def test_a_template_with_a_session_in_it_is_cloned_all_the_same(cluster: Server):
    with Shadow(address(cluster.dsn)) as shadow:
        first = shadow.create()
        left = shadow.connect(first)
        assert shadow.clone(first) != first
        with suppress(psycopg.Error):
            left.close()


def test_threads_share_a_shadow(cluster: Server):
    with Shadow(address(cluster.dsn)) as shadow:
        threads = [threading.Thread(target=lambda: shadow.drop(shadow.create())) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not shadow.names


def test_what_a_killed_run_left_is_swept_away_with_its_roles(cluster: Server):
    with subprocess.Popen([sys.executable, "-c", ORPHAN, cluster.dsn], stdout=subprocess.PIPE, text=True) as orphan:
        assert orphan.stdout is not None
        name = orphan.stdout.readline().strip()
        with Shadow(address(cluster.dsn)):
            assert name in databases(cluster.dsn), "its run is alive"
        orphan.kill()
    with psycopg.connect(cluster.dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        while conn.execute("SELECT FROM pg_stat_activity WHERE application_name ~ 'tidelock shadow'").fetchone():
            pass
    with Shadow(address(cluster.dsn)) as shadow:
        assert name not in databases(cluster.dsn)
        assert "orphan_reader" not in shadow.roles()


def test_a_role_without_createdb_is_refused(cluster: Server):
    with psycopg.connect(cluster.dsn, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS shadow_nobody; CREATE ROLE shadow_nobody LOGIN")
    with pytest.raises(ShadowRefused, match="may not create databases"):
        Shadow(address(cluster.database("postgres", user="shadow_nobody"))).__enter__()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder that the server's account can reach."""
    for each in (tmp_path, *list(tmp_path.parents)[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    return tmp_path


def homes() -> set[Path]:
    return {path for folder in (embedded.MEMORY, embedded.cache_folder()) for path in folder.glob("tidelock-shadow-*")}


def test_two_runs_have_an_embedded_server_each_and_initdb_runs_once(cache: Path):
    before = homes()
    with embedded.server(cache) as one:
        [made] = cache.glob("initialised-*/PG_VERSION")
        first = made.stat().st_mtime_ns
        with embedded.server(cache) as other:
            assert one.local != other.local
        with psycopg.connect(make_conninfo(**one.loopback.parameters)) as conn:
            assert conn.execute("SHOW fsync").fetchone() == ("off",)
    assert made.stat().st_mtime_ns == first
    assert homes() <= before


def test_the_embedded_server_ends_with_a_process_that_is_killed_and_the_next_run_removes_its_files(cache: Path):
    before = homes()
    started = subprocess.Popen([sys.executable, "-c", SERVER, str(cache)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    home = Path(started.stdout.readline().strip())
    server = psutil.Process(int((home / "data" / "postmaster.pid").read_text().splitlines()[0]))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    started.stdout.close()
    server.wait(20)
    with embedded.server(cache) as running, psycopg.connect(make_conninfo(**running.local.parameters)) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
        assert not home.exists()
    assert homes() <= before
