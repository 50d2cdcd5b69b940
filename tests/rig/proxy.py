"""A TCP proxy on loopback that understands PostgreSQL's message framing.

It counts and logs the messages of every connection, and does something at a message of your choice:

    with Proxy(server.port) as proxy:
        commit = proxy.after(sends("^COMMIT"), lambda seen: seen.connection.hold(Direction.TO_CLIENT))
        start_a_client(proxy.dsn(server.dsn))
        commit.wait()                   # the server has the COMMIT, the client has no answer
        proxy.connections[-1].cut()     # and will never get one

Triggers run in the thread that forwards the message, so nothing further passes in that direction meanwhile.
Each fires once. A message is forwarded alone, so "before message 7" means that the receiver has 6.
Where a dead server would refuse a connection, the proxy accepts it and closes it at once.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from tests.rig.loopback import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 1 << 16
SHOWN = 300
CANCEL, SSL, GSSENC = 80877102, 80877103, 80877104
REQUESTS = {CANCEL: "CancelRequest", SSL: "SSLRequest", GSSENC: "GSSENCRequest"}
TLS_HANDSHAKE = 0x16


class Direction(StrEnum):
    """Which way a message goes."""

    TO_SERVER = ">"
    TO_CLIENT = "<"


@dataclass(frozen=True, slots=True)
class Message:
    """One protocol message. Numbers count from 1."""

    number: int
    """Among all messages that the proxy has seen, both directions and every connection together."""
    count: int
    """Among those of its direction."""
    direction: Direction
    kind: str
    """The type byte (Q, P, X, C, Z, …), Startup, one of `REQUESTS`, Negotiation (its answer) or Raw."""
    text: str
    """The SQL of a Query or Parse (its first 64 KiB), a CommandComplete's tag; otherwise empty."""
    size_bytes: int
    connection: Connection = field(repr=False)

    def __str__(self) -> str:
        return f"{self.number:4} {self.direction} {self.kind} {self.text[:SHOWN]}".rstrip()


def at(number: int, direction: Direction | None = None) -> Callable[[Message], bool]:
    """Message `number` of that direction, or of both together."""
    if direction is None:
        return lambda message: message.number == number
    return lambda message: message.direction is direction and message.count == number


def sends(pattern: str) -> Callable[[Message], bool]:
    """The client sends SQL (Query or Parse) that the regular expression is found in, case ignored."""
    find = re.compile(pattern, re.IGNORECASE).search
    return lambda message: (
        message.direction is Direction.TO_SERVER and message.kind in {"Q", "P"} and bool(find(message.text))
    )


def answers(pattern: str) -> Callable[[Message], bool]:
    """The server answers with a CommandComplete whose tag the regular expression is found in."""
    find = re.compile(pattern, re.IGNORECASE).search
    return lambda message: message.direction is Direction.TO_CLIENT and message.kind == "C" and bool(find(message.text))


class Trigger:
    """Something to be done once, at the first message that `when` accepts."""

    def __init__(self, when: Callable[[Message], bool], action: Callable[[Message], object], *, after: bool) -> None:
        self.when = when
        self.action = action
        self.after = after
        self.message: Message | None = None
        self.error: BaseException | None = None
        self._claimed = threading.Lock()
        self._done = threading.Event()

    @property
    def fired(self) -> bool:
        """Whether its action has run to its end."""
        return self._done.is_set()

    def wait(self, wait_s: float = 30.0) -> Message:
        """Wait until it has fired, and return its message."""
        if not self._done.wait(wait_s):
            raise TimeoutError("no such message passed")
        assert self.message is not None
        return self.message

    def meet(self, message: Message) -> None:
        """Fire, if this is the message and it has not fired before."""
        if not self.when(message) or not self._claimed.acquire(blocking=False):
            return
        self.message = message
        try:
            self.action(message)
        except Exception as error:  # the test's own thread raises it, in stop()
            self.error = error
        finally:
            self._done.set()


class Connection:
    """One client and its connection to the server, with a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.backend_pid: int | None = None
        """From the server's BackendKeyData; None until then."""
        self.counts: Counter[Direction] = Counter()
        self.closed = threading.Event()
        self._sockets = {Direction.TO_SERVER: client, Direction.TO_CLIENT: server}
        self._gates = {direction: threading.Event() for direction in Direction}
        self._negotiating = threading.Event()
        self.raw = False
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for direction in Direction:
            self._gates[direction].set()
            threading.Thread(target=self._pump, args=(direction,), daemon=True).start()

    def hold(self, direction: Direction) -> None:
        """Let nothing further pass in that direction. The sockets stay open, as on a silent network."""
        self._gates[direction].clear()

    def release(self, direction: Direction) -> None:
        """Let pass again, starting with what waits."""
        self._gates[direction].set()

    def cut(self) -> None:
        """Close both sides at once: what was not forwarded yet is lost."""
        self._close()
        for gate in self._gates.values():
            gate.set()

    def _pump(self, direction: Direction) -> None:
        source = self._sockets[direction]
        target = self._sockets[_other(direction)]
        try:
            read = self._from_client if direction is Direction.TO_SERVER else self._from_server
            with source.makefile("rb") as reader:
                read(reader, target)
            # The client has left. The server learns it now, and may still be working on what it was sent.
            target.shutdown(socket.SHUT_WR)
            if direction is Direction.TO_CLIENT:
                self._close()
        except (OSError, ValueError):
            self._close()

    def _close(self) -> None:
        for each in self._sockets.values():
            _close(each)
        self.closed.set()

    def _from_client(self, source: _Reader, target: socket.socket) -> None:
        while not self.raw:
            first = source.read(1)
            if not first:
                return
            if first[0] == TLS_HANDSHAKE:
                self._pass_raw(Direction.TO_SERVER, first, source, target)
                return
            head = first + _exactly(source, 7)
            length, code = struct.unpack("!ii", head)
            kind = REQUESTS.get(code, "Startup")
            if kind in {"SSLRequest", "GSSENCRequest"}:
                self._negotiating.set()
            self._pass(Direction.TO_SERVER, kind, head + _exactly(source, length - 8), target)
            if kind == "Startup":
                self._typed(Direction.TO_SERVER, source, target)
                return

    def _from_server(self, source: _Reader, target: socket.socket) -> None:
        while first := source.read(1):
            if self._negotiating.is_set() and first in b"SNG":
                self._negotiating.clear()
                self.raw = first in b"SG"
                self._pass(Direction.TO_CLIENT, "Negotiation", first, target)
                if self.raw:
                    self._pass_raw(Direction.TO_CLIENT, b"", source, target)
                    return
                continue
            self._one(Direction.TO_CLIENT, first, source, target)

    def _typed(self, direction: Direction, source: _Reader, target: socket.socket) -> None:
        while first := source.read(1):
            self._one(direction, first, source, target)

    def _one(self, direction: Direction, first: bytes, source: _Reader, target: socket.socket) -> None:
        size = _exactly(source, 4)
        body = _exactly(source, struct.unpack("!i", size)[0] - 4)
        if first == b"K" and direction is Direction.TO_CLIENT:
            self.backend_pid = struct.unpack("!i", body[:4])[0]
        self._pass(direction, first.decode("latin-1"), first + size + body, target)

    def _pass_raw(self, direction: Direction, first: bytes, source: _Reader, target: socket.socket) -> None:
        """Encrypted from here on: pass it, count each piece as one message."""
        self.raw = True
        chunk = first + source.read1()
        while chunk:
            self._pass(direction, "Raw", chunk, target)
            chunk = source.read1()

    def _pass(self, direction: Direction, kind: str, whole: bytes, target: socket.socket) -> None:
        self._gates[direction].wait()
        message = self.proxy.note(self, direction, kind, _text(direction, kind, whole), len(whole))
        self.proxy.meet(message, after=False)
        self._gates[direction].wait()
        target.sendall(whole)
        self.proxy.meet(message, after=True)


class Proxy:
    """Listens on `port` and forwards every connection to 127.0.0.1:`target_port`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.connections: list[Connection] = []
        self.log: list[Message] = []
        self.counts: Counter[Direction] = Counter()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._triggers: list[Trigger] = []
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, server_dsn: str) -> str:
        """The URL `server_dsn`, led through this proxy."""
        parts = urlsplit(server_dsn)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@{HOST}:{self.port}" if user else f"{HOST}:{self.port}"))

    def before(self, when: Callable[[Message], bool], action: Callable[[Message], object]) -> Trigger:
        """Do something before that message is forwarded. An action that cuts the connection swallows it."""
        return self._add(Trigger(when, action, after=False))

    def after(self, when: Callable[[Message], bool], action: Callable[[Message], object]) -> Trigger:
        """Do something when that message has been forwarded, and nothing further in its direction."""
        return self._add(Trigger(when, action, after=True))

    def _add(self, trigger: Trigger) -> Trigger:
        with self._lock:
            self._triggers.append(trigger)
        return trigger

    def cut(self) -> None:
        """Cut every connection."""
        for each in list(self.connections):
            each.cut()

    def stop(self) -> None:
        """Close everything. Raises what a trigger's action raised."""
        _close(self._listener)
        self.cut()
        for trigger in self._triggers:
            if trigger.error is not None:
                raise trigger.error

    def transcript(self) -> str:
        """The log, one message a line."""
        return "\n".join(map(str, self.log))

    def note(self, connection: Connection, direction: Direction, kind: str, text: str, size: int) -> Message:
        """Number a message and log it."""
        with self._lock:
            self.counts[direction] += 1
            connection.counts[direction] += 1
            message = Message(next(self._numbers), self.counts[direction], direction, kind, text, size, connection)
            self.log.append(message)
            return message

    def meet(self, message: Message, *, after: bool) -> None:
        """Fire the triggers that wait for this message."""
        for trigger in list(self._triggers):
            if trigger.after is after:
                trigger.meet(message)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target_port))
            except OSError:
                client.close()
                continue
            self.connections.append(Connection(self, client, server))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


if TYPE_CHECKING:
    from io import BufferedReader as _Reader


def _other(direction: Direction) -> Direction:
    return Direction.TO_CLIENT if direction is Direction.TO_SERVER else Direction.TO_SERVER


def _exactly(source: _Reader, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise ConnectionError("cut off inside a message")
    return data


def _text(direction: Direction, kind: str, whole: bytes) -> str:
    body = whole[5 : 5 + KEPT]
    if kind == "P" and direction is Direction.TO_SERVER:
        body = body.partition(b"\0")[2]
    elif not (kind == "Q" or (kind == "C" and direction is Direction.TO_CLIENT)):
        return ""
    return body.partition(b"\0")[0].decode("utf-8", "replace")


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
