"""The watches: one thread for each kind hears what there is and what changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightkube.generic_resource import create_namespaced_resource

from tidelock.kube import client
from tidelock.kube.delivery import BUNDLE, SETTINGS
from tidelock.kube.feed import Broken, Feed, Listed, Seen
from tidelock.kube.refusals import reason_of
from tidelock.operator import resource
from tidelock.operator.view import TARGET

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Sequence

MigrationTarget: Any = create_namespaced_resource(resource.GROUP, resource.VERSION, resource.KIND, resource.PLURAL)
STATUS = "MigrationTargetStatus"
client.KINDS |= {STATUS: MigrationTarget.Status, resource.KIND: MigrationTarget}
FEEDS = (
    Feed(name="targets", kind=resource.KIND),
    Feed(name=BUNDLE, kind="ConfigMap", labels={BUNDLE: None}),
    Feed(name=SETTINGS, kind="ConfigMap", labels={SETTINGS: None}),
    Feed(name="jobs", kind="Job", labels={TARGET: None}),
)
"""What is watched."""


@dataclass
class Feeds:
    """The watches of one namespace, or of all (`*`)."""

    cluster: client.Cluster
    tell: Callable[[str], None]
    news: queue.Queue[Listed | Seen]
    stop: threading.Event
    _told: dict[str, str] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """One thread for each kind. They end after `stop`, when their streams bring something or end."""
        threads = [
            threading.Thread(target=self._pass_on, args=(each,), name=f"watch {each.name}", daemon=True)
            for each in FEEDS
        ]
        for each in threads:
            each.start()
        threading.Thread(target=self._close_after, args=(threads,), name="close", daemon=True).start()

    def _close_after(self, threads: Sequence[threading.Thread]) -> None:
        """Close the client when nobody reads from it any more.

        A connection that is closed while a thread reads from it leaves its file descriptor to the next one that is
        opened, and the thread takes bytes out of that: TLS then fails there (DECRYPTION_FAILED_OR_BAD_RECORD_MAC).
        """
        for each in threads:
            each.join()
        self.cluster.close()

    def _pass_on(self, feed: Feed) -> None:
        for heard in feed.heard(self.cluster, self.stop):
            self._take(heard)
            del heard  # a list is large, and the next news may be long in coming

    def _take(self, heard: Listed | Seen | Broken) -> None:
        if isinstance(heard, Broken):
            self._complain(heard.feed, reason_of(heard.error))
            return
        self.news.put(heard)
        if self._told.pop(heard.feed, ""):
            self.tell(f"watching {heard.feed} again")

    def _complain(self, feed: str, why: str) -> None:
        """Tell it once, not each second."""
        if not self.stop.is_set() and self._told.get(feed) != why:
            self._told[feed] = why
            self.tell(f"watching {feed}: {why}")
