"""What the proofs share: a place for servers and files, and lines that say how far they are."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig.installation import Installation, installation
from tests.rig.postgres import Garage

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30


@dataclass(slots=True)
class Result:
    """What a proof has to show: counts in order, tables and remarks for the page, and failures."""

    title: str
    about: str = ""
    counts: dict[str, object] = field(default_factory=dict)
    tables: list[tuple[list[str], list[list[object]]]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    took_s: float = 0.0


@dataclass(slots=True)
class Ticker:
    """A line to stderr now and then, about what is done and what is waited for."""

    what: str
    total: int
    every_s: float = 10.0
    done: int = 0
    _told: float = field(default_factory=time.monotonic)
    _began: float = field(default_factory=time.monotonic)

    def tick(self, note: str = "") -> None:
        """One more is done."""
        self.done += 1
        if time.monotonic() - self._told >= self.every_s or self.done == self.total:
            self._told = time.monotonic()
            say(f"{self.what}: {self.done}/{self.total} after {self._told - self._began:.0f} s  {note}")


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def workplace(*, disk: bool = False) -> Iterator[tuple[Garage, Path]]:
    """A folder for servers and files: in memory when there is plenty, on the disk where fsync has to mean something."""
    where = os.environ.get("TIDELOCK_TEST_DIR")
    if where is None and not disk and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        where = str(MEMORY)
    folder = Path(tempfile.mkdtemp(prefix="tidelock-proof-", dir=where))
    try:
        yield Garage(folder), folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def programs(folder: Path, kind: str = "") -> Installation:
    """The PostgreSQL to prove on: TIDELOCK_TEST_POSTGRES, or the embedded one."""
    wanted = kind or os.environ.get("TIDELOCK_TEST_POSTGRES", "embedded")
    found = installation("embedded" if wanted == "both" else wanted, folder)
    if found is None:
        raise RuntimeError(f"PostgreSQL ({wanted}) is not there")
    return found
