"""Numbers for Prometheus, and whether the operator is alive and ready, on one small server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tidelock.config import BadSetting
from tidelock.core.reconciling import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.operator.view import Key

    Object = dict[str, Any]

LABELS = ("namespace", "target")


class Metrics:
    """What is known of each target."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.leader = Gauge("tidelock_leader", "1 on the operator that acts", registry=self.registry)
        self.version = self._gauge("applied_version", "The highest version that is applied")
        self.pending = self._gauge("pending", "Migrations that the last run left pending")
        self.finished = self._gauge("last_run_timestamp_seconds", "When the last run ended")
        self.duration = self._gauge("last_run_duration_seconds", "How long the last run took")
        self.failures = self._gauge("failures", "Passing failures in a row")
        self.ready = self._gauge("ready", "1 when the bundle that is there is applied")
        self.stalled = self._gauge("stalled", "1 when a person has to mend something")
        self.drift = self._gauge("drift", "1 when the bundle that is there is not the one that was last applied")
        self.runs = Counter("tidelock_runs", "Jobs that ended", (*LABELS, "result"), registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"tidelock_target_{name}", help_text, LABELS, registry=self.registry)

    @property
    def _gauges(self) -> tuple[Gauge, ...]:
        of_run = (self.version, self.pending, self.finished, self.duration, self.failures)
        return (*of_run, self.ready, self.stalled, self.drift)

    def stands(self, key: Key, phase: Phase, status: Object) -> None:
        """A target was looked at."""
        self.ready.labels(*key).set(phase is Phase.APPLIED)
        stalled = status["conditions"][2]["status"] == "True"
        self.stalled.labels(*key).set(stalled)
        applied, there = status.get("applied", {}).get("digest"), status.get("bundle", {}).get("digest")
        self.drift.labels(*key).set(applied != there)
        self.failures.labels(*key).set(status["failures"] + (phase is Phase.RETRYING))
        for gauge, name in ((self.version, "version"), (self.pending, "pending")):
            if name in status:
                gauge.labels(*key).set(status[name])

    def ended(self, key: Key, noted: Object, *, succeeded: bool) -> None:
        """A Job ended."""
        self.runs.labels(*key, "succeeded" if succeeded else f"exit_{noted.get('exit_code', 'unknown')}").inc()
        self.finished.labels(*key).set_to_current_time()
        if "duration_s" in noted:
            self.duration.labels(*key).set(noted["duration_s"])

    def forget(self, key: Key) -> None:
        """A target is gone."""
        for gauge in self._gauges:
            gauge.remove_by_labels(dict(zip(LABELS, key, strict=True)))


def serve(
    address: tuple[str, int], metrics: Metrics, alive: Callable[[], bool], ready: Callable[[], bool]
) -> ThreadingHTTPServer:
    """`/healthz`, `/readyz` and `/metrics`; the server runs in a thread of its own."""

    class Answer(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            """Answer it."""
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._send(200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST)
                case "/healthz":
                    self._say(alive())
                case "/readyz":
                    self._say(ready())
                case _:
                    self._send(404, b"not found\n")

        def _say(self, good: bool) -> None:
            self._send(200 if good else 503, b"ok\n" if good else b"not yet\n")

        def _send(self, code: int, body: bytes, kind: str = "text/plain") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Probes are not news."""

    try:
        server = ThreadingHTTPServer(address, Answer)
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        raise BadSetting("--listen", f"{where}: {error.strerror}", "name an address and a port that is free") from None
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
