"""What a node is told when it starts."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.loopback import HOST

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Image:
    """What a container of that image gets without saying so itself."""

    entrypoint: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    folder: str = "/"
    """Where it starts."""


HOST_IMAGE = Image()
"""Any other image: the host's own files, and no entry point."""


def tidelock() -> Image:
    """The image of our Dockerfile: the source tree that is tested, run by the interpreter of the tests."""
    env = {
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/home/tidelock",
    }
    return Image((sys.executable, "-m", "tidelock"), tuple(env.items()), "/migrations")


class ImageMissing(Exception):
    """There is no such image: nobody can pull it."""


def image(name: str) -> Image:
    """The image of that name: `…/tidelock:TAG` is ours, what a registry below `.invalid` holds cannot be pulled."""
    repository = name.partition("@")[0]
    registry, _, rest = repository.partition("/")
    if rest and registry.endswith(".invalid"):
        raise ImageMissing(f'failed to pull and unpack image "{name}": dial tcp: lookup {registry}: no such host')
    last = repository.rpartition("/")[2].partition(":")[0]
    return tidelock() if last == "tidelock" else HOST_IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One node."""

    name: str
    port: int
    """Where it serves the logs."""
    folder: Path
    """Where its pods' files lie; no container sees it."""
    kubeconfig: Path
    ca: Path
    certificate: Path
    key: Path
    address: str = HOST
    crash_wait_s: float = 2.0
    """How long a container that ended is left alone before it starts again, at first. A real node has 10."""
    sync_s: float = 0.5
    """How often it looks whether a volume's objects have changed. A real node may take a minute."""
    beat_s: float = 2.0

    @property
    def shared(self) -> tuple[Path, ...]:
        """Folders that containers need and that lie on another file system than the root, or below /tmp."""
        needed = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
        return tuple(sorted(each for each in needed if _hidden(each)))


def _hidden(folder: Path) -> bool:
    return folder.is_relative_to("/tmp") or folder.stat().st_dev != Path("/").stat().st_dev


def read(path: Path) -> Settings:
    """The settings in a JSON file."""
    data: dict[str, Any] = json.loads(path.read_text())
    for name in ("folder", "kubeconfig", "ca", "certificate", "key"):
        data[name] = Path(data[name])
    return Settings(**data)
