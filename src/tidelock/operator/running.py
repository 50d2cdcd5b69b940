"""The operator from start to end: wait for the lease, act while it is ours, and start over when it is lost."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.operator.lease import Leadership
from tidelock.operator.loop import Loop
from tidelock.operator.metrics import Metrics, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

LEASE = "tidelock-operator"
STALE_S = 120.0
"""A loop that has not come by for so long hangs: longer than all its waiting for an API server in one turn."""


@dataclass
class Operator:
    """One operator process."""

    connect: Callable[[], Client]
    """A new client for each time that it leads, closed by the last watch that reads from it."""
    namespace: str
    """What it looks after; `*` is all."""
    home: str
    """Where its lease is."""
    identity: str
    lease_s: float
    tell: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    metrics: Metrics = field(default_factory=Metrics)
    _loop: Loop | None = field(default=None, init=False)

    def run(self, listen: tuple[str, int]) -> None:
        """Until told to stop. Gives the lease back at the end, however it comes."""
        server = serve(listen, self.metrics, self.alive, self.ready)
        leadership = Leadership(self.connect(), self.home, LEASE, self.identity, self.lease_s, self.tell)
        try:
            while leadership.acquire(self.stop):
                self._term(leadership)
        finally:
            self.stop.set()
            leadership.release()
            server.shutdown()

    def _term(self, leadership: Leadership) -> None:
        """Act for as long as the lease is ours."""
        over = threading.Event()
        client = self.connect()
        keeper = threading.Thread(target=leadership.keep, args=(over,), name="lease", daemon=True)
        keeper.start()
        self._loop = Loop(client, self.namespace, leadership, self.metrics, self.tell)
        self.metrics.leader.set(1)
        try:
            self._loop.run(over)
        finally:
            over.set()
            self._loop = None
            self.metrics.leader.set(0)
        self.tell(f"leads no more as {self.identity}: the lease was not renewed in time, or another has it")
        keeper.join()

    def alive(self) -> bool:
        """The loop comes by, or there is none because another operator leads."""
        loop = self._loop
        return loop is None or time.monotonic() - loop.beat < STALE_S

    def ready(self) -> bool:
        """It stands by, or it knows all that it has to."""
        loop = self._loop
        return loop is None or loop.synced
