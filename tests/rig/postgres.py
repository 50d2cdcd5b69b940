"""A PostgreSQL cluster of our own: started, killed, restarted and stopped by the id of its process."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

import psutil
import psycopg
from psycopg import sql

from tests.rig.account import account
from tests.rig.loopback import HOST, POD_HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.rig.installation import Installation

START_S = 60.0
STOP_S = 30.0
SETTINGS = {
    "listen_addresses": f"{HOST},{POD_HOST}" if POD_HOST else HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm would keep the segments of a killed server
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a@%d ",
}
GUARD = 'read -r _; kill -QUIT "$1" 2>/dev/null'
_numbers = itertools.count(1)


class StartError(RuntimeError):
    """The server ended, or was not ready in time. The message holds the end of its log."""


class Server:
    """A running cluster. `dsn` leads to its database `postgres`, `pid` is the postmaster's."""

    def __init__(self, installation: Installation, folder: Path, settings: Mapping[str, str]) -> None:
        self.installation = installation
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.settings = {**SETTINGS, **settings}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def major(self) -> int:
        """PostgreSQL's major version."""
        return self.installation.major

    @property
    def dsn(self) -> str:
        """How to reach the database `postgres` as superuser `postgres`."""
        return self.database("postgres")

    def database(self, name: str, *, user: str = "postgres", port: int | None = None) -> str:
        """How to reach the database `name`."""
        return f"postgresql://{user}@{HOST}:{port or self.port}/{name}"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._process is not None and self._process.poll() is None

    # Starting and stopping

    def start(self) -> Self:
        """Start it, on the same port as before, and wait until it accepts connections."""
        if not self.port:
            self.port = free_port()
        arguments = [f"-c{name}={value}" for name, value in self.settings.items()]
        who = account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.installation.program("postgres"), "-D", self.data, f"-p{self.port}", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                user=who.uid, group=who.gid, start_new_session=True,
            )  # fmt: skip
        self._watch()
        self._wait_until_ready()
        return self

    def _watch(self) -> None:
        """End the server when the test process dies, however that happens: then the guard's input ends."""
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    def _wait_until_ready(self) -> None:
        ends = time.monotonic() + START_S
        while not self._ready():
            if not self.running or time.monotonic() > ends:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise StartError(f"{self.installation.bin}/postgres on port {self.port}:\n{tail}")
            time.sleep(0.01)

    def _ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() in {"ready", "standby"}

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts clients off and checkpoints, SIGQUIT leaves at once as after a crash."""
        if self._process is None:
            return
        family = self._family()
        if self.running:
            self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill9_all()
        _wait_until_dead(family)
        self._forget()

    def kill9_all(self) -> None:
        """SIGKILL the postmaster and every process of it, and return when all are gone."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGSTOP)  # so that it starts no further child meanwhile
        family = self._family()
        for each in reversed(family):
            _kill(each)
        self._process.wait(STOP_S)
        _wait_until_dead(family)
        self._forget()

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it unless it is down already, and start it on the same port."""
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """Stop it at once and delete its files."""
        self.stop(signal.SIGQUIT)
        self._remove_interlock()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        try:
            postmaster = psutil.Process(self.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _forget(self) -> None:
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
        self._process = self._guard = None

    def _remove_interlock(self) -> None:
        """Remove the System V segment that a killed server leaves behind."""
        try:
            line = (self.data / "postmaster.pid").read_text().splitlines()[6]
            ctypes.CDLL(None).shmctl(int(line.split()[1]), 0, None)
        except (OSError, IndexError, ValueError, AttributeError):
            return

    # Databases and backends

    def create_database(self, name: str = "", *, template: str = "template0") -> str:
        """Create a database, as a copy of `template`, and return its name."""
        name = name or f"test_{next(_numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database together with the sessions in it."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed) -> None:
        """Run one statement in the database `postgres`, outside a transaction."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def kill9_backend(self, pid: int) -> None:
        """SIGKILL one backend; the server then restarts all of them by itself, as after any crash."""
        if pid not in {each.pid for each in self._family()}:
            raise ValueError(f"{pid} is no process of this server")
        _kill(psutil.Process(pid))

    def wait_until_ready(self, wait_s: float = START_S) -> None:
        """Return when it accepts connections again (after a backend was killed)."""
        ends = time.monotonic() + wait_s
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


class Garage:
    """Makes clusters: `initdb` runs once for each installation, every further one is a copy of its result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.chmod(0o755)

    def server(
        self, installation: Installation, *, fsync: bool = False, settings: Mapping[str, str] | None = None
    ) -> Server:
        """Start a cluster of its own. Use it as a context manager, or `remove()` it."""
        folder = self.folder / f"{installation.kind}-{next(_numbers)}"
        folder.mkdir()
        shutil.copytree(self._initialised(installation), folder / "data", symlinks=True)
        (folder / "data").chmod(0o700)
        account().own(folder)
        server = Server(installation, folder, {"fsync": "on" if fsync else "off", **(settings or {})})
        try:
            return server.start()
        except StartError:
            server.stop(signal.SIGQUIT)
            server.port = 0  # somebody else may have taken it
            return server.start()

    def _initialised(self, installation: Installation) -> Path:
        data = self.folder / f"{installation.kind}-initialised"
        if not data.exists():
            data.mkdir()
            account().own(data)
            _initdb(installation, data)
        return data


def _initdb(installation: Installation, data: Path) -> None:
    who = account()
    result = subprocess.run(
        [installation.program("initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
         "--locale=C", "--no-sync"],
        user=who.uid, group=who.gid, cwd=data, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise StartError(f"initdb: {result.stdout[-500:]}{result.stderr[-1500:]}")
    if POD_HOST:
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")


def _wait_until_dead(family: list[psutil.Process]) -> None:
    """A zombie counts as dead: it holds nothing, and whoever adopted it may be slow to bury it."""
    ends = time.monotonic() + STOP_S
    while any(map(alive, family)):
        if time.monotonic() > ends:
            raise TimeoutError(f"still alive: {[each.pid for each in family if alive(each)]}")
        time.sleep(0.005)


def alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
