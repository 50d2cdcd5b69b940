"""Listens between psql and a server, and writes down each query and each piece of COPY data that psql sends.

The server answers everything but COPY … FROM STDIN: its table is seldom there, and psql would read the data lines as
SQL. The recorder answers those itself, always with yes, and counts them.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

from tests.rig.loopback import HOST

COPY_IN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*copy\b(?:[^;()'\"]|\([^()]*\)|\"[^\"]*\"|'[^']*')*?\bfrom\s+stdin\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class Recording:
    """What one psql sent."""

    queries: list[str] = field(default_factory=list)
    copied: dict[int, bytes] = field(default_factory=dict)
    """COPY data by the index of its query."""
    connected: bool = False
    lost: bool = False
    """psql ended because its connection did."""
    answered: int = 0
    """COPY … FROM STDIN answered by the recorder."""


class Closed(Exception):
    """The other side is gone."""


def exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


class Recorder:
    """A proxy for one psql at a time. Use it as a context manager."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.listener = socket.create_server((HOST, 0))
        self.port = int(self.listener.getsockname()[1])
        self.recording = Recording()
        self.workers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for worker in self.workers:
            worker.join(10)

    def _start(self, work: object, *arguments: object) -> None:
        self.workers = [each for each in self.workers if each.is_alive()]
        self.workers.append(threading.Thread(target=work, args=arguments, daemon=True))  # type: ignore[arg-type]
        self.workers[-1].start()

    def fresh(self) -> Recording:
        """A new sheet for the next psql."""
        self.recording = Recording()
        return self.recording

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self._start(Session(client, self.server_port, self.recording).run)


class Session:
    """One connection of psql."""

    def __init__(self, client: socket.socket, server_port: int, recording: Recording) -> None:
        self.client = client
        self.server = socket.create_connection((HOST, server_port))
        for each in (self.client, self.server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms for each answer
        self.recording = recording
        self.status = b"I"

    def run(self) -> None:
        back = threading.Thread(target=self._answers, daemon=True)
        with contextlib.closing(self.client), contextlib.closing(self.server):
            with contextlib.suppress(Closed, OSError):
                self._questions(back)
            with contextlib.suppress(OSError):
                self.server.shutdown(socket.SHUT_RDWR)
            if back.ident is not None:
                back.join(10)

    def _questions(self, back: threading.Thread) -> None:
        (length,) = struct.unpack("!I", head := exactly(self.client, 4))
        self.server.sendall(head + exactly(self.client, length - 4))
        back.start()
        while True:
            kind, body = self._read(self.client)
            if kind == b"Q":
                text = body[:-1].decode()
                self.recording.queries.append(text)
                if COPY_IN.match(text):
                    self._pretend_to_copy()
                    continue
            elif kind == b"d":
                self._keep(body)
            self.server.sendall(message(kind, body))

    def _pretend_to_copy(self) -> None:
        self.recording.answered += 1
        self._keep(b"")
        self.client.sendall(message(b"G", b"\0\0\0"))
        while True:
            kind, body = self._read(self.client)
            if kind == b"d":
                self._keep(body)
            elif kind in b"cf":
                break
        self.client.sendall(message(b"C", b"COPY 0\0") + message(b"Z", self.status))

    def _keep(self, data: bytes) -> None:
        index = len(self.recording.queries) - 1
        self.recording.copied[index] = self.recording.copied.get(index, b"") + data

    def _answers(self) -> None:
        with contextlib.suppress(Closed, OSError):
            while True:
                kind, body = self._read(self.server)
                if kind == b"Z":
                    self.status = body
                    self.recording.connected = True
                self.client.sendall(message(kind, body))
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def _read(self, connection: socket.socket) -> tuple[bytes, bytes]:
        head = exactly(connection, 5)
        (length,) = struct.unpack("!I", head[1:])
        return head[:1], exactly(connection, length - 4)
