"""A PgBouncer of our own in transaction mode."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Self

from tests.rig.account import account
from tests.rig.loopback import HOST, free_port, wait_until_open

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.postgres import Server

INI = """\
[databases]
* = host={host} port={server_port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
admin_users = postgres
pool_mode = {mode}
max_client_conn = 500
default_pool_size = {pool_size}
server_idle_timeout = 5
ignore_startup_parameters = extra_float_digits,options
"""


def program() -> str | None:
    """The path of pgbouncer, if it is installed."""
    return shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")


class PgBouncer:
    """A PgBouncer in front of a server. Use it as a context manager."""

    def __init__(
        self, server: Server, folder: Path, *, pool_size: int = 20, mode: str = "transaction",
        users: tuple[str, ...] = ("postgres",),
    ) -> None:  # fmt: skip
        found = program()
        if found is None:
            raise FileNotFoundError("pgbouncer")
        self.server = server
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        ini = INI.format(host=HOST, server_port=server.port, port=self.port, folder=folder, mode=mode,
                         pool_size=pool_size)  # fmt: skip
        (folder / "pgbouncer.ini").write_text(ini)
        (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users))
        account().own(folder)
        self._process = self._start(found)

    def _start(self, path: str) -> subprocess.Popen[bytes]:
        who = account()
        with (self.folder / "pgbouncer.log").open("wb") as log:
            process = subprocess.Popen(
                [path, self.folder / "pgbouncer.ini"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                user=who.uid, group=who.gid, start_new_session=True,
            )  # fmt: skip
        wait_until_open(self.port)
        return process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def database(self, name: str, *, user: str = "postgres") -> str:
        """How to reach the server's database `name` through it."""
        return self.server.database(name, user=user, port=self.port)

    @property
    def admin(self) -> str:
        """Its own console: SHOW POOLS and the like, in autocommit and simple queries."""
        return self.database("pgbouncer")

    def stop(self) -> None:
        """End it, and with it every connection through it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
