"""Fetches the other tools with their usual package managers, into a folder outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CACHE = Path(os.environ.get("TIDELOCK_BENCH_CACHE", Path.home() / ".cache" / "tidelock-bench"))
INSTALL_S = 600


class PeerMissing(Exception):
    """The tool cannot be had here. The message says why; the results name it."""


def python_tool(name: str, packages: Sequence[str], *, anew: bool = False) -> Path:
    """The program `name` in a virtual environment of its own; `anew` replaces one that is there."""
    folder = CACHE / name
    program = folder / "bin" / name
    if anew or not program.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", *packages])
    return program


def node_binary(package: str) -> Path:
    """The native binary that a package of npm brings along."""
    folder = CACHE / package
    found = _native(folder, package)
    if found is None:
        if shutil.which("npm") is None:
            raise PeerMissing("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        _run(["npm", "install", "--silent", "--no-fund", "--no-audit", package], cwd=folder)
        found = _native(folder, package)
    if found is None:
        raise PeerMissing(f"the npm package {package} holds no binary for this machine")
    return found


def _native(folder: Path, name: str) -> Path | None:
    return next((path for path in folder.glob(f"node_modules/@*/*/bin/{name}") if path.is_file()), None)


def debian_program(name: str, packages: Sequence[str]) -> Path:
    """A program from Debian packages, installed if this is root with apt."""
    if shutil.which(name) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise PeerMissing(f"needs root: apt-get install {' '.join(packages)}")
        _run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages])
    found = shutil.which(name)
    if found is None:
        raise PeerMissing(f"apt-get install {' '.join(packages)} brought no {name}")
    return Path(found)


def _run(command: list[str], cwd: Path | None = None) -> None:
    print(f"  fetching: {' '.join(command[-3:])} …", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command, cwd=cwd, env=environment, check=True, capture_output=True, text=True, timeout=INSTALL_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise PeerMissing((error.stderr or error.stdout).strip().splitlines()[-1][:200]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(str(error)[:200]) from error
