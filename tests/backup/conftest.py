"""Places for backups, and databases whose leftovers are dropped."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from tests.rig.s3 import S3

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.project import Project


@dataclass
class Place:
    """A store: its URL, what a client must know, and its objects as files."""

    url: str
    objects: Path
    env: dict[str, str] = field(default_factory=dict)
    server: S3 | None = None


@dataclass
class Farm:
    """A project with a store."""

    project: Project
    place: Place

    def run(self, *arguments: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        """The real command."""
        self.configure()
        env = {**self.place.env, **(env or {})}
        return self.project.tidelock(*arguments, env=env, timeout=240, **more)

    def well(self, *arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        """One that must succeed, as data."""
        done = self.run(*arguments, "--json", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def configure(self, more: str = "") -> None:
        """tidelock.toml, unless there is one."""
        path = self.project.folder / "tidelock.toml"
        if more or not path.exists():
            path.write_text(f'[backup]\nurl = "{self.place.url}"\n{more}')

    def ids(self) -> list[str]:
        """What `list` shows."""
        return [each["id"] for each in self.well("backup", "list")["backups"]]

    def databases(self) -> set[str]:
        """All of the server."""
        return {name for (name,) in self.project.query("SELECT datname FROM pg_database")}

    def create(self) -> str:
        """Make a backup and return its id."""
        return str(self.well("backup", "create")["backups"][0]["id"])


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A directory, and S3."""
    if request.param == "directory":
        yield Place(str(tmp_path / "store"), tmp_path / "store")
        return
    with S3(tmp_path / "s3") as server:
        yield Place(server.url, server.objects, server.env, server)


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """A directory."""
    return Place(str(tmp_path / "store"), tmp_path / "store")


def without_leftovers(project: Project, place: Place) -> Iterator[Farm]:
    """A farm; afterwards no database is there that was not there before, and no file of the store."""
    farm = Farm(project, place)
    before, dsn = farm.databases(), project.dsn
    yield farm
    with psycopg.connect(dsn.rpartition("/")[0] + "/postgres", autocommit=True) as conn:
        for (name,) in conn.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall():
            if name not in before:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    shutil.rmtree(place.objects, ignore_errors=True)


@pytest.fixture
def farm(project: Project, place: Place) -> Iterator[Farm]:
    """On each place."""
    yield from without_leftovers(project, place)


@pytest.fixture
def local(project: Project, folder: Place) -> Iterator[Farm]:
    """On a directory."""
    yield from without_leftovers(project, folder)
