"""The door through which the API server reads logs (`kubectl logs`): a kubelet's /containerLogs."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import IO

    from tests.rig.kube.pod import Pod
    from tests.rig.kube.settings import Settings
    from tests.rig.kube.status import Record

    Find = Callable[[str, str], Pod | None]
POLL_S = 0.03
IDLE_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader asks for."""

    follow: bool = False
    timestamps: bool = False
    previous: bool = False
    tail: int | None = None
    """Lines from the end; None is all."""
    limit: int | None = None
    """Bytes."""
    since: str = ""
    """A time as the log has it; empty is the beginning."""


def wanted(query: str) -> Wanted:
    """The parameters of the request."""
    given = dict(parse_qsl(query))
    since = given.get("sinceTime", "")
    if "sinceSeconds" in given:
        at = datetime.now(UTC) - timedelta(seconds=float(given["sinceSeconds"]))
        since = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Wanted(
        follow=given.get("follow") == "true",
        timestamps=given.get("timestamps") == "true",
        previous=given.get("previous") == "true",
        tail=int(given["tailLines"]) if "tailLines" in given else None,
        limit=int(given["limitBytes"]) if "limitBytes" in given else None,
        since=since.rstrip("Z"),
    )


def lines(pod: Pod, record: Record, ask: Wanted) -> Iterator[bytes]:
    """The lines of a container's log as they are wanted; with `follow` until it ends."""
    restarts = record.restarts
    path = record.log(previous=ask.previous)
    with path.open("rb") as log:
        whole = log.readlines()
        if whole and not whole[-1].endswith(b"\n"):
            log.seek(-len(whole.pop()), 1)
        yield from whole if ask.tail is None else whole[len(whole) - min(len(whole), ask.tail) :]
        if ask.follow:
            yield from _further(log, lambda: record.over or record.restarts > restarts or pod.over.is_set())


def _further(log: IO[bytes], over: Callable[[], bool]) -> Iterator[bytes]:
    part = b""
    while True:
        last = over()  # asked before reading: what it wrote at its end is read after
        while line := log.readline():
            part += line
            if part.endswith(b"\n"):
                yield part
                part = b""
        if last:
            return
        time.sleep(POLL_S)


def shown(all_lines: Iterator[bytes], ask: Wanted) -> Iterator[bytes]:
    """Without times unless they are wanted, from the time and up to the size that are wanted."""
    left = ask.limit
    for line in all_lines:
        at, _, text = line.partition(b" ")
        if ask.since and at.decode().rstrip("Z") < ask.since:
            continue
        piece = line if ask.timestamps else text
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        if piece:
            yield piece
        if left == 0:
            return


class Handler(BaseHTTPRequestHandler):
    """Answers the API server, and nobody else: others have no certificate."""

    protocol_version = "HTTP/1.1"
    find: Find

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if len(parts) != 4 or parts[0] != "containerLogs":
            self._say(404, "this node serves /containerLogs only")
            return
        ask = wanted(url.query)
        pod = self.find(parts[1], parts[2])
        record = pod.container(parts[3]) if pod else None
        if pod is None or record is None or not record.log(previous=ask.previous).exists():
            which = "previous terminated container" if ask.previous else "container"
            self._say(400, f'{which} "{parts[3]}" in pod "{parts[2]}" is waiting to start')
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in shown(lines(pod, record, ask), ask):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


class Door(ThreadingHTTPServer):
    """TLS with the handshake in the thread of the request."""

    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        connection.settimeout(IDLE_S)
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that left is no error."""


def serve(settings: Settings, find: Find) -> None:
    """Serve for ever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    context.load_verify_locations(settings.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    handler = type("Bound", (Handler,), {"find": staticmethod(find)})
    door = Door((settings.address, settings.port), handler)
    door.context = context
    door.serve_forever()
