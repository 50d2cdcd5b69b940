"""What is listed once and then watched: for a thread of its own. When the stream breaks it is listed anew."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightkube import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidelock.kube.client import Cluster

    Object = dict[str, Any]
    Selector = dict[str, Any]

PAUSE_S = 0.5
"""Before a broken stream is opened again."""
TOO_OLD = 410
"""The version to watch from is forgotten: listing anew mends it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All that there is."""

    feed: str
    objects: list[Object]
    version: str = ""
    """Of the list: what is newer is not in it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One object has changed; `what` is ADDED, MODIFIED or DELETED."""

    feed: str
    what: str
    object: Object


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream broke, or what is there cannot be listed; it is tried again."""

    feed: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A kind of objects, selected by the API server."""

    name: str
    """What whoever hears of it calls it."""
    kind: str
    labels: Selector | None = None
    fields: Selector | None = None

    def heard(self, cluster: Cluster, stop: threading.Event) -> Iterator[Listed | Seen | Broken]:
        """What comes in, until told to stop."""
        while not stop.is_set():
            try:
                objects, version = cluster.listed(self.kind, self.labels, self.fields)
                yield Listed(self.name, objects, version)
                del objects  # perhaps all ConfigMaps with their contents: not to be held as long as the stream lasts
                for what, found in cluster.watch(self.kind, version, self.labels, self.fields):
                    if stop.is_set():
                        return
                    yield Seen(self.name, what, found)
            except Exception as error:  # a credential plugin, a broken answer, a closed client: whoever waits
                # for this feed would wait for ever, and an operator be deaf and call itself healthy
                if not (isinstance(error, ApiError) and error.status.code == TOO_OLD):
                    yield Broken(self.name, error)
            stop.wait(PAUSE_S)


@contextmanager
def listening(
    cluster: Cluster, feeds: tuple[Feed, ...], put: Callable[[Listed | Seen | Broken], None]
) -> Iterator[threading.Event]:
    """Hear feeds, each on a thread of its own, until the block ends; what it yields is set then."""
    stop = threading.Event()

    def hear(feed: Feed) -> None:
        for news in feed.heard(cluster, stop):
            put(news)

    for each in feeds:
        threading.Thread(target=hear, args=(each,), daemon=True).start()
    try:
        yield stop
    finally:
        stop.set()
