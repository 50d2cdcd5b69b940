"""The watches: one thread for each kind lists once and then hears of changes; when the stream breaks it lists anew."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightkube import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap

from tidelock.kube import client
from tidelock.kube.delivery import BUNDLE, SETTINGS
from tidelock.operator import resource
from tidelock.operator.view import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

    Object = dict[str, Any]

MigrationTarget: Any = create_namespaced_resource(resource.GROUP, resource.VERSION, resource.KIND, resource.PLURAL)
STATUS = "MigrationTargetStatus"
client.KINDS[STATUS] = MigrationTarget.Status
KINDS: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "targets": (MigrationTarget, None),
    BUNDLE: (ConfigMap, {BUNDLE: None}),
    SETTINGS: (ConfigMap, {SETTINGS: None}),
    "jobs": (Job, {TARGET: None}),
}
"""What is watched → (resource, labels that the API server selects by)."""
PAUSE_S = 1.0
"""Before a broken stream is opened again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All that there is of a kind."""

    kind: str
    objects: list[Object]
    version: int = 0
    """Of the list: what is newer is not in it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One object."""

    kind: str
    object: Object
    gone: bool


@dataclass
class Feeds:
    """The watches of one namespace, or of all (`*`)."""

    client: Client
    namespace: str
    tell: Callable[[str], None]
    news: queue.Queue[Listed | Changed]
    stop: threading.Event
    _told: dict[str, str] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """One thread for each kind. They end after `stop` when the client is closed."""
        client.bound_streams(self.client)
        for kind in KINDS:
            threading.Thread(target=self._watch, args=(kind,), name=f"watch {kind}", daemon=True).start()

    def _watch(self, kind: str) -> None:
        while not self.stop.is_set():
            try:
                self._hear(kind)
            except ApiError as error:
                if error.status.code != client.TOO_OLD:
                    self._complain(kind, str(error.status.message or error))
            except Exception as error:  # a credential plugin, a broken answer, a closed client: a feed
                # that ended here would leave an operator that is deaf and calls itself healthy
                self._complain(kind, str(error) or type(error).__name__)
            self.stop.wait(PAUSE_S)

    def _complain(self, kind: str, why: str) -> None:
        """Tell it once, not each second."""
        if not self.stop.is_set() and self._told.get(kind) != why:
            self._told[kind] = why
            self.tell(f"watching {kind}: {why}")

    def _hear(self, kind: str) -> None:
        what, labels = KINDS[kind]
        found = self.client.list(what, namespace=self.namespace, labels=labels)
        objects = [each.to_dict() for each in found]
        self.news.put(Listed(kind, objects, int(found.resourceVersion or 0)))
        del objects  # all ConfigMaps with their contents: not to be held as long as the stream lasts
        if self._told.pop(kind, ""):
            self.tell(f"watching {kind} again")
        stream = self.client.watch(
            what,
            namespace=self.namespace,
            labels=labels,
            resource_version=found.resourceVersion,
            server_timeout=client.STREAM_S,
        )
        for event, each in stream:  # goes on in a new stream where the last one ended
            if self.stop.is_set():
                return
            self.news.put(Changed(kind, each.to_dict(), event == "DELETED"))
