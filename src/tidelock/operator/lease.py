"""One leader at a time, by a Lease of the API server.

Who holds it renews it; who does not takes it once it was not renewed for its duration, by its own clock: clocks of
different nodes are not compared. A leader that could not renew for two thirds of the duration stops acting, before
another may begin.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
from lightkube import ApiError
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

NOT_THERE, CONFLICT = 404, 409


@dataclass
class Leadership:
    """A claim to the Lease."""

    client: Client
    namespace: str
    name: str
    identity: str
    duration_s: float = 15.0
    tell: Callable[[str], None] = lambda _: None
    _seen: tuple[Any, ...] = field(default=(), init=False)
    _seen_at: float = field(default=0.0, init=False)
    _renewed_at: float | None = field(default=None, init=False)
    _told: str = field(default="", init=False)
    _ours: Lease | None = field(default=None, init=False)
    """As we have written it last, so that renewing is one request."""

    @property
    def held(self) -> bool:
        """We may act: the Lease is ours, and nobody else can have taken it yet."""
        return self._renewed_at is not None and time.monotonic() < self._renewed_at + self.duration_s * 2 / 3

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until it is ours. False when told to stop."""
        while not stop.is_set():
            if self.attempt():
                self.tell(f"leads as {self.identity}")
                return True
            stop.wait(self.duration_s / 7)
        return False

    def keep(self, stop: threading.Event) -> None:
        """Renew until told to stop, or until it is lost."""
        while not stop.wait(self.duration_s / 5):
            self.attempt()
            if not self.held:
                return

    def attempt(self) -> bool:
        """One try to take or renew it."""
        began = time.monotonic()
        try:
            ours = self._take()
        except (ApiError, httpx2.HTTPError) as error:
            self._complain(f"the lease {self.namespace}/{self.name} cannot be read or written: {error}")
            return False
        self._told = ""
        if ours:
            self._renewed_at = began
        elif self._renewed_at is not None:
            self._renewed_at = None
        return ours

    def _complain(self, why: str) -> None:
        """Tell it once, not at each try."""
        if why != self._told:
            self._told = why
            self.tell(why)

    def release(self) -> None:
        """Let another take it at once."""
        if not self.held:
            return
        self._renewed_at = None
        try:
            found = self.client.get(Lease, self.name, namespace=self.namespace)
            if found.spec and found.spec.holderIdentity == self.identity:
                found.spec.holderIdentity = ""
                self.client.replace(found)
        except (ApiError, httpx2.HTTPError):
            return  # it runs out by itself

    def _take(self) -> bool:
        now = datetime.now(UTC)
        found = self._ours or self._read()
        if found is None:
            return self._written(lambda: self.client.create(self._fresh(now)))
        spec = found.spec or LeaseSpec()
        if spec.holderIdentity not in (self.identity, "", None) and not self._run_out(spec):
            return False
        if spec.holderIdentity != self.identity:
            spec.leaseTransitions = (spec.leaseTransitions or 0) + 1
            spec.acquireTime = now
        spec.holderIdentity, spec.renewTime, spec.leaseDurationSeconds = self.identity, now, round(self.duration_s) or 1
        found.spec = spec
        return self._written(lambda: self.client.replace(found))

    def _read(self) -> Lease | None:
        try:
            return self.client.get(Lease, self.name, namespace=self.namespace)
        except ApiError as error:
            if error.status.code == NOT_THERE:
                return None
            raise

    def _written(self, write: Callable[[], Lease]) -> bool:
        self._ours = None
        try:
            self._ours = write()
        except ApiError as error:
            if error.status.code in (CONFLICT, NOT_THERE):
                return False  # somebody was faster, or has taken it away
            raise
        return True

    def _run_out(self, spec: LeaseSpec) -> bool:
        """The other one has not renewed it since we first saw it so, for the whole duration."""
        state = (spec.holderIdentity, spec.renewTime, spec.leaseTransitions)
        if state != self._seen:
            self._seen, self._seen_at = state, time.monotonic()
            return False
        return time.monotonic() > self._seen_at + (spec.leaseDurationSeconds or self.duration_s)

    def _fresh(self, now: datetime) -> Lease:
        return Lease(
            metadata=ObjectMeta(name=self.name, namespace=self.namespace),
            spec=LeaseSpec(
                holderIdentity=self.identity, acquireTime=now, renewTime=now, leaseTransitions=0,
                leaseDurationSeconds=round(self.duration_s) or 1,
            ),
        )  # fmt: skip
