"""Decide and act, target by target, whenever something was heard or a moment has come. One thread."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.app.patience import backoff
from tidelock.errors import PassingFault, TidelockError
from tidelock.kube.client import Cluster
from tidelock.kube.feed import Listed, Seen
from tidelock.operator.feeds import FEEDS, Feeds
from tidelock.operator.turn import Turn
from tidelock.operator.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

    from tidelock.core.reconciling import Phase
    from tidelock.operator.lease import Leadership
    from tidelock.operator.metrics import Metrics
    from tidelock.operator.view import Key

TICK_S = 1.0
"""How long the loop sleeps at most, to see whether it still leads."""
AGAIN_S = 5.0
"""After the API server refused or did not answer; doubled each time that it does so again."""
LONGEST_S = 300.0


@dataclass
class Loop:
    """The operator while it leads."""

    client: Client
    namespace: str
    leadership: Leadership
    metrics: Metrics
    tell: Callable[[str], None]
    view: View = field(default_factory=View)
    news: queue.Queue[Listed | Seen] = field(default_factory=queue.Queue)
    beat: float = field(default_factory=time.monotonic)
    """When the loop last came by, for /healthz."""
    _listed: set[str] = field(default_factory=set, init=False)
    _due: list[tuple[float, Key]] = field(default_factory=list, init=False)
    _stands: dict[Key, tuple[Phase, int]] = field(default_factory=dict, init=False)
    _refused: dict[Key, int] = field(default_factory=dict, init=False)
    """How often in a row a target could not be looked after."""

    @property
    def synced(self) -> bool:
        """All kinds were listed: decisions are made on the whole."""
        return len(self._listed) == len(FEEDS)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop, or until we do not lead any more."""
        feeds = Feeds(self.cluster(self.namespace), self.tell, self.news, stop)
        feeds.start()
        dirty: set[Key] = set()
        while not stop.is_set() and self.leadership.held:
            self.beat = time.monotonic()
            dirty |= self._hear() | self._ripe()
            while self.synced and dirty:
                self._reconcile(dirty.pop())
                dirty |= self._heard()
                if stop.is_set():
                    return

    # Hearing

    def _hear(self) -> set[Key]:
        """What has changed; waits for it a moment."""
        wait_s = min(TICK_S, max(0.0, self._due[0][0] - time.time())) if self._due else TICK_S
        try:
            first = self.news.get(timeout=wait_s)
        except queue.Empty:
            return set()
        return self._take(first) | self._heard()

    def _heard(self) -> set[Key]:
        """What has changed meanwhile."""
        found: set[Key] = set()
        while True:
            try:
                found |= self._take(self.news.get_nowait())
            except queue.Empty:
                return found

    def _take(self, news: Listed | Seen) -> set[Key]:
        if isinstance(news, Listed):
            self.view.replace(news.feed, news.objects, int(news.version or 0))
            self._listed.add(news.feed)
            return set(self.view.targets)
        return set(self.view.put(news.feed, news.object, gone=news.what == "DELETED"))

    def _ripe(self) -> set[Key]:
        """Targets whose moment has come."""
        found = set()
        while self._due and self._due[0][0] <= time.time():
            found.add(heapq.heappop(self._due)[1])
        return found

    def later(self, key: Key, at: float) -> None:
        """Look at a target again at that time."""
        heapq.heappush(self._due, (at, key))

    # Acting

    def _reconcile(self, key: Key) -> None:
        target = self.view.targets.get(key)
        if not self.leadership.held:
            return
        if target is None or target["metadata"].get("deletionTimestamp"):
            self.metrics.forget(key)
            self._stands.pop(key, None)
            self._refused.pop(key, None)
            return
        turn = Turn(self, key, target)
        try:
            turn.take()
        except TidelockError as error:
            self._failed(key, error.message)
            if not isinstance(error, PassingFault):
                turn.refused(error)
        except Exception as error:  # one target must not keep all others from their migrations
            self._failed(key, f"a bug in Tidelock, please report it: {type(error).__name__}: {error}")
        else:
            self._refused.pop(key, None)

    def _failed(self, key: Key, why: str) -> None:
        """Say it, and come back later, and later still."""
        times = self._refused.get(key, 0)
        self._refused[key] = times + 1
        self.tell(f"{'/'.join(key)}: {why}")
        self.later(key, time.time() + backoff(times, first_s=AGAIN_S, most_s=LONGEST_S))

    def cluster(self, namespace: str) -> Cluster:
        """The same client in one namespace; it bears an API server that is away only for a moment."""
        return Cluster(self.client, namespace, wait_s=AGAIN_S)

    def moved(self, key: Key, phase: Phase, serial: int) -> bool:
        """The target stands otherwise than when it was last looked at."""
        before, self._stands[key] = self._stands.get(key), (phase, serial)
        return before is not None and before != (phase, serial)
