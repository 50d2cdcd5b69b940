"""Where a tool lets the application wait for the Job: it runs when something changed, and fallback tables let it start.

Helm itself is asked; what Argo CD and Flux wait for is the Job's success, which is the same manifests.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.kube.project import FILES, tidelock, write
from tests.rig.kube.cluster import Cluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace

BROKEN = "CREATE TABLE ndvi_jobs (id int PRIMARY KEY, status text, CHECK (nobody > 0));\n"


class Release:
    """A chart of the project, installed in the namespace by helm."""

    def __init__(self, folder: Path, namespace: Namespace, dsn: str) -> None:
        self.folder, self.namespace, self.dsn = folder, namespace, dsn
        at = urlsplit(dsn)
        write(
            folder,
            {
                "tidelock.toml": f'[kube]\nfor = "helm"\nimage = "tidelock"\nout = "chart"\nwait = "5s"\nhost = "{at.hostname}"\n'
                f'port = {at.port}\nuser = "{at.username}"\ndatabase = "{at.path[1:]}"\n'
                '[[critical]]\ntable = "ndvi_jobs"\nmigration = 1\nfallback = "fallback/001_ndvi_jobs.sql"\n'
            },
        )
        cluster = namespace.cluster
        found = str(cluster.binaries.program("helm")) if isinstance(cluster, Cluster) else shutil.which("helm")
        self.program = found or pytest.skip("helm is not on the PATH")

    def upgrade(self) -> subprocess.CompletedProcess[str]:
        done = tidelock(self.folder, "kube", "render")
        assert done.returncode == 0, done.stderr
        return subprocess.run(
            [
                self.program, "upgrade", "--install", "farm", self.folder / "chart", "--timeout", "60s",
                "--kubeconfig", self.namespace.cluster.kubeconfig, "--namespace", self.namespace.name,
            ],
            capture_output=True, text=True,
        )  # fmt: skip

    def job(self, name: str = "db-migration") -> dict[str, Any]:
        found: dict[str, Any] = self.namespace.get("job", name)
        return found

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def release(farm: Path, namespace: Namespace, postgres_dsn: str) -> Release:
    return Release(farm, namespace, postgres_dsn)


def test_helm_runs_a_changed_bundle_once_and_an_unchanged_one_never(release: Release) -> None:
    first = release.upgrade()
    assert first.returncode == 0, first.stderr + release.namespace.kubectl("logs", "job/db-migration")
    assert release.query("SELECT version FROM schema_migrations") == [(1,), (2,)]
    uid = release.job()["metadata"]["uid"]
    assert release.upgrade().returncode == 0
    assert release.job()["metadata"]["uid"] == uid
    write(release.folder, {"migrations/003_c.sql": "INSERT INTO ndvi_jobs VALUES (3);\n"})
    assert release.upgrade().returncode == 0
    assert release.job()["metadata"]["uid"] != uid
    assert release.query("SELECT id FROM ndvi_jobs ORDER BY 1") == [(1,), (3,)]


def test_on_fallback_tables_the_release_goes_on_and_is_marked_as_failed(release: Release) -> None:
    write(release.folder, {"migrations/001_ndvi_jobs.sql": BROKEN})
    done = release.upgrade()
    assert done.returncode != 0
    assert release.job()["status"]["succeeded"] == 1, "what waits for the Job starts"
    assert release.namespace.ended("db-migration-told")["exitCode"] == 1, "and somebody is told"
    assert release.query("SELECT count(*) FROM ndvi_jobs") == [(0,)]
    write(release.folder, FILES | {"tidelock.toml": (release.folder / "tidelock.toml").read_text()})
    write(
        release.folder,
        {"migrations/001_ndvi_jobs.sql": "CREATE TABLE IF NOT EXISTS ndvi_jobs (id int PRIMARY KEY, status text);\n"},
    )
    mended = release.upgrade()
    assert mended.returncode == 0, mended.stderr
    assert release.query("SELECT version FROM schema_migrations ORDER BY 1") == [(1,), (2,)]


def test_without_that_tolerance_the_release_stops_at_the_job(release: Release) -> None:
    text = (release.folder / "tidelock.toml").read_text().replace("wait =", 'on_fallback = "fail"\nwait =')
    write(release.folder, {"tidelock.toml": text, "migrations/001_ndvi_jobs.sql": BROKEN})
    assert release.upgrade().returncode != 0
    assert release.namespace.ended("db-migration")["exitCode"] == 8
    assert not release.namespace.there("cronjob", "db-migration"), "nothing of the release itself"
