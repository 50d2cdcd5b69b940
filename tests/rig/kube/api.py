"""The API server as a node sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from lightkube import ApiError, Client, KubeConfig
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightkube.resources.core_v1 import Pod

T = TypeVar("T")
AUTHORIZED_S = 3.0
"""The Node authorizer learns of a binding some milliseconds late: until then it answers 403."""
MISSING = 404
FORBIDDEN = 403


def connect(kubeconfig: Path) -> Client:
    """A client for a node. Safe to share among threads."""
    return Client(config=KubeConfig.from_file(str(kubeconfig)).get(), trust_env=False)


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while the answer is 403, for a while."""
    ends = time.monotonic() + AUTHORIZED_S
    while True:
        try:
            return ask()
        except ApiError as error:
            if error.status.code != FORBIDDEN or time.monotonic() > ends:
                raise
            time.sleep(0.05)


def found(ask: Callable[[], T]) -> T | None:
    """The object, or None when there is none."""
    try:
        return patiently(ask)
    except ApiError as error:
        if error.status.code == MISSING:
            return None
        raise


def now() -> str:
    """The time as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def precise() -> str:
    """The time with its microseconds."""
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1e6):06d}Z"


def tell(client: Client, pod: Pod, reason: str, message: str) -> None:
    """Record a warning about a pod, as the kubelet does."""
    meta = pod.metadata
    assert meta is not None
    about = ObjectReference(apiVersion="v1", kind="Pod", name=meta.name, namespace=meta.namespace, uid=meta.uid)
    name = f"{meta.name}.{time.time_ns():x}"
    event = Event(
        metadata=ObjectMeta(name=name, namespace=meta.namespace), involvedObject=about, reason=reason, message=message,
        type="Warning", count=1, source=EventSource(component="kubelet"),
    )  # fmt: skip
    try:
        client.create(event)
    except ApiError:
        return  # the namespace is going; nobody will ask
