"""`python -m tests.proof`: run the proofs, print the counts, write the page."""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.proof import crash, durability, runners
from tests.proof.page import page, text
from tests.proof.rounds import programs, say
from tests.rig import bouncer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proof.rounds import Result

SMALL: dict[str, Callable[[], Result]] = {
    "crash": lambda: crash.prove(messages=100, moments=40),
    "durability": lambda: durability.prove(rounds=10, shows=1),
    "runners": lambda: runners.prove(rounds=4, deaths=1),
}
FULL: dict[str, Callable[[], Result]] = {
    "crash": lambda: crash.prove(messages=None, moments=400, most_s=40 * 60),
    "durability": lambda: durability.prove(rounds=100, shows=3),
    "runners": lambda: runners.prove(rounds=50, deaths=10),
}


def main() -> int:
    """Exit 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--full", action="store_true", help="full counts")
    parser.add_argument("--write", type=Path, help="write the page there")
    parser.add_argument("--only", nargs="+", choices=list(FULL), default=list(FULL), help="only these")
    asked = parser.parse_args()
    results = []
    for name in asked.only:
        say(f"{name} …")
        results.append((FULL if asked.full else SMALL)[name]())
        print(text(results[-1]), flush=True)
    if asked.write:
        asked.write.write_text(page(results, versions()))
    return 1 if any(each.failures for each in results) else 0


def versions() -> dict[str, str]:
    """What it was proved with."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = said(programs(Path(folder)).program("postgres"), "--version")
    pooler = bouncer.program()
    return {
        "Tidelock": said("git", "describe", "--always", "--dirty"),
        "PostgreSQL": server,
        "PgBouncer": said(pooler, "--version").splitlines()[0] if pooler else "none",
        "psycopg": f"{psycopg.__version__}, libpq {psycopg.pq.version()}",
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def said(*command: str) -> str:
    """What a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
