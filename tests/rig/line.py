"""A TCP line on loopback that is cut, or goes silent, after so many bytes from the client; once, then it is whole."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

from tests.rig.loopback import HOST

CHUNK = 1 << 16


@dataclass
class Line:
    """Leads from a port of its own to another one. Use it as a context manager."""

    target: int
    fails_after: int
    """Bytes, of all connections together, after which it fails."""
    silent: bool = False
    """Nothing passes any more, instead of being cut."""
    passed: int = 0
    failed: bool = False
    _listener: socket.socket = field(default_factory=lambda: socket.create_server((HOST, 0)))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self.target))
                self._open += [client, server]
                for one, other, counted in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(one, other, counted), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(CHUNK):
                if counted and self._fails(len(content)):
                    if self.silent:
                        return  # the sockets stay open, and nobody reads them
                    break
                other.sendall(content)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _fails(self, count: int) -> bool:
        """Whether this is the moment."""
        with self._lock:
            self.passed += count
            if self.failed or self.passed < self.fails_after:
                return False
            self.failed = True
            return True
