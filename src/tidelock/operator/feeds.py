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
    from collections.abc import Callable

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
        """One thread for each kind. They end after `stop` when the client is closed."""
        for each in FEEDS:
            threading.Thread(target=self._pass_on, args=(each,), name=f"watch {each.name}", daemon=True).start()

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
