"""The cluster: objects in and out as plain dicts, and every refusal as a fault that names the object."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from lightkube import ApiError, Client
from lightkube.core.exceptions import ConfigError
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.apps_v1 import DaemonSet, Deployment, ReplicaSet, StatefulSet
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace, Pod, ResourceQuota, Secret, ServiceAccount
from lightkube.resources.networking_v1 import NetworkPolicy
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding
from lightkube.types import PatchType

from tidelock.app.patience import backoff
from tidelock.kube.faults import NoContext, NoNamespace, NotAllowed, Rejected, Unanswered
from tidelock.kube.refusals import BUSY, FOREIGN, MEND, MISSING, PLUGIN, fault, lasting, of_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


T = TypeVar("T")
Object = dict[str, Any]
Selector = dict[str, Any]
KINDS: dict[str, type[Any]] = {
    each.__name__: each
    for each in (
        ConfigMap, CronJob, DaemonSet, Deployment, Event, Job, NetworkPolicy, Pod, ReplicaSet, ResourceQuota, Role,
        RoleBinding, Secret, ServiceAccount, StatefulSet,
    )
}  # fmt: skip
MANAGER = "tidelock"
FIRST_WAIT_S = 5.0
"""For the first answer: a wrong address should not take a minute to be told so."""
STREAM_S = 290
"""The API server is asked to end a watch after so long; it goes on in a new stream."""
SILENT_S = STREAM_S + 30.0
"""A stream that brings nothing for longer, not even its end, hangs on a connection that died without a word."""
EXISTS = 409


@dataclass
class Cluster:
    """One namespace of one cluster. Safe to share among threads."""

    client: Client
    namespace: str
    wait_s: float = 60.0
    """Seconds to bear an API server that does not answer."""
    dry: bool = False
    """Nothing is kept of what is sent: the API server only says whether it would be accepted."""
    answered: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Let no stream hang for ever."""
        bound_streams(self.client)

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.client.config.cluster.server)

    @property
    def context(self) -> str:
        """The name of the context."""
        return str(self.client.config.context_name)

    def close(self) -> None:
        """Give the connections back; streams end."""
        self.client.close()

    # Objects

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        return self._ask(
            f"reading {named(kind, name)}", name, lambda: self.client.get(KINDS[kind], name, namespace=self.namespace)
        )

    def all_of(self, kind: str, labels: Selector | None = None, fields: Selector | None = None) -> list[Object]:
        """All of a kind, by labels or fields."""

        def ask() -> list[Object]:
            found = self.client.list(KINDS[kind], namespace=self.namespace, labels=labels, fields=fields)
            return [plain(each, kind) for each in found]

        return self._asked(f"listing {kind}s", "", ask)

    def events(self, name: str) -> list[Object]:
        """What is told about the object of that name; nothing where we may not know."""
        try:
            return self.all_of("Event", fields={"involvedObject.name": name})
        except NotAllowed:
            return []

    def apply(self, wanted: Object) -> Object:
        """Make the object what it is wanted to be (server-side apply; what others set of it is overruled)."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        namespace = wanted["metadata"].get("namespace") or self.namespace  # rights for a backup may be of another one
        found = self._ask(
            f"applying {named(kind, name)}", name,
            lambda: self.client.patch(
                KINDS[kind], name, wanted, namespace=namespace, patch_type=PatchType.APPLY,
                field_manager=MANAGER, force=True,
            ),
        )  # fmt: skip
        if found is None:
            raise NoNamespace(self.namespace, "it is not there")
        return found

    def merge(self, kind: str, name: str, change: Object) -> Object | None:
        """Change some fields; None is taken out. None when the object is not there."""
        return self._ask(
            f"changing {named(kind, name)}", name,
            lambda: self.client.patch(KINDS[kind], name, change, namespace=self.namespace, patch_type=PatchType.MERGE),
        )  # fmt: skip

    def create(self, wanted: Object, *, dry: bool = False) -> Object | None:
        """Make a new object, or with `dry` only ask whether it would be; None when there is one of that name."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        new = KINDS[kind].from_dict(wanted)
        try:
            return self._asked(
                f"creating {named(kind, name)}",
                name,
                lambda: plain(self.client.create(new, namespace=self.namespace, dry_run=dry), kind),
            )
        except Rejected as error:
            if error.status == EXISTS:
                return None
            raise

    def delete(self, kind: str, name: str, uid: str, *, foreground: bool = False) -> None:
        """Remove exactly that object, not one that has taken its name since; what belongs to it goes with it.

        `foreground`: the object stays until what belongs to it is gone.
        """

        def ask() -> None:
            # lightkube's own `delete` takes no preconditions
            generic = self.client._client
            policy = "Foreground" if foreground else "Background"
            request = generic.prepare_request("delete", res=KINDS[kind], name=name, namespace=self.namespace)
            request.data = {"preconditions": {"uid": uid}, "propagationPolicy": policy}
            if self.dry:
                request.params["dryRun"] = "All"
            generic.raise_for_status(  # type: ignore[no-untyped-call]  # so it is there
                generic.send(generic.build_adapter_request(request))
            )

        try:
            self._asked(f"deleting {named(kind, name)}", name, ask)
        except Rejected as error:
            if error.status not in (MISSING, EXISTS):
                raise

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Whether whoever asks is allowed that."""
        resource, _, sub = resource.partition("/")
        attributes = ResourceAttributes(
            namespace=self.namespace, verb=verb, group=group, resource=resource, subresource=sub
        )
        review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=attributes))
        made = self._asked("asking for rights", "", lambda: self.client.create(review))
        return bool(made.status and made.status.allowed)

    def namespace_there(self) -> bool | None:
        """Whether the namespace exists; None when we may not know."""
        try:
            return (
                self._ask(
                    "looking for the namespace", self.namespace, lambda: self.client.get(Namespace, self.namespace)
                )
                is not None
            )
        except NotAllowed:
            return None
        except NoNamespace:
            return False

    def clock(self) -> datetime:
        """What time it is for the API server, which dates the objects."""
        generic = self.client._client
        answer = self._asked(
            "asking for its time", "", lambda: generic.send(generic._client.build_request("GET", "/version"))
        )
        return parsedate_to_datetime(answer.headers["date"])

    # Streams

    def watch(
        self, kind: str, version: str, labels: Selector | None, fields: Selector | None
    ) -> Iterator[tuple[str, Object]]:
        """(ADDED, MODIFIED or DELETED, object) from that version of the list on, until the stream ends or breaks."""
        events = self.client.watch(
            KINDS[kind],
            namespace=self.namespace,
            labels=labels,
            fields=fields,
            resource_version=version,
            server_timeout=STREAM_S,
        )
        return ((what, plain(each, kind)) for what, each in events)

    def listed(self, kind: str, labels: Selector | None, fields: Selector | None) -> tuple[list[Object], str]:
        """All of a kind, and the version to watch from."""
        found = self.client.list(KINDS[kind], namespace=self.namespace, labels=labels, fields=fields)
        objects = [plain(each, kind) for each in found]
        return objects, found.resourceVersion

    def log(self, pod: str, container: str, *, follow: bool) -> Iterator[str]:
        """The lines of a container's log. Raises lightkube's ApiError or httpx's errors."""
        return self.client.log(pod, namespace=self.namespace, container=container, follow=follow, newlines=False)

    def lines(self, pod: str, *, tail: int | None = None) -> list[str]:
        """The log of a pod's only container, as far as it has come. Raises a fault of ours."""
        return self._asked(
            f"reading the log of {pod}", pod,
            lambda: list(self.client.log(pod, namespace=self.namespace, tail_lines=tail, newlines=False)),
        )  # fmt: skip

    # Asking

    def _ask(self, doing: str, name: str, ask: Callable[[], Any]) -> Object | None:
        try:
            found = self._asked(doing, name, ask)
        except Rejected as error:
            if error.status == MISSING:
                return None
            raise
        return plain(found, type(found).__name__)

    def _asked(self, doing: str, name: str, ask: Callable[[], T]) -> T:
        """The answer. While there is none, or the server is busy, asks again for a while. Raises a fault of ours."""
        began = time.monotonic()
        attempt = 0
        while True:
            try:
                found = ask()
            except ApiError as error:
                if error.status.code not in BUSY:
                    raise fault(error, f"{self.namespace}/{name}" if name else self.namespace, doing, self) from None
                why = str(error.status.message or error)
            except ConfigError as error:
                raise NoContext(
                    f"context {self.context}", str(error), "see whether kubectl can sign in with it"
                ) from None
            except httpx2.HTTPError as error:
                why = str(error) or type(error).__name__
                if lasting(error):
                    raise NoContext(f"context {self.context}", f"{self.server}: {why.splitlines()[0]}", MEND) from None
            except (KeyError, TypeError) as error:
                if not of_plugin(error):
                    raise
                what = "it gives no status.token; one that gives a client certificate is not supported"
                raise NoContext(
                    f"context {self.context}", f"the credential plugin is of no use: {what}", PLUGIN
                ) from None
            except FOREIGN as error:
                raise NoContext(
                    f"context {self.context}", f"{doing} at {self.server}: {error}", "see whether kubectl can use it"
                ) from None
            else:
                self.answered = True
                return found
            waited = time.monotonic() - began
            if waited > (self.wait_s if self.answered else min(FIRST_WAIT_S, self.wait_s)):
                raise Unanswered(self.server, doing, why, waited)
            time.sleep(backoff(attempt, first_s=0.1, most_s=2.0))
            attempt += 1


def bound_streams(client: Client) -> None:
    """Give up a watch that has been silent for longer than a live one can be; lightkube would wait for ever."""
    client._client._watch_timeout.read = SILENT_S


def plain(found: Any, kind: str) -> Object:
    """lightkube's object as a dict, with the kind that lists leave out."""
    held: Object = found.to_dict()
    held["kind"] = kind
    return held


def named(kind: str, name: str) -> str:
    """As kubectl names it: `configmap/postgresql-migrations`."""
    return f"{kind.lower()}/{name}"
