"""A migration Job as it stands: its attempts, how each ended, and what it said. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COMPLETE = "Complete"
FAILED = "Failed"
CLUSTER_REFUSED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One pod of a Job."""

    pod: str
    uid: str = ""
    node: str = ""
    phase: str = ""
    began: bool = False
    """The container has run, or runs."""
    exit_code: int | None = None
    """None while it runs, and where nobody saw it end."""
    reason: str = ""
    """What keeps it from starting, or how it ended: ImagePullBackOff, OOMKilled, Evicted, …"""
    message: str = ""
    """What goes with the reason."""
    words: str = ""
    """Its last words: the summary as JSON, or the end of its log."""
    summary: dict[str, Any] | None = None
    """The last words, when they are the summary."""

    @property
    def over(self) -> bool:
        """It has ended, however it did."""
        return self.exit_code is not None or self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One Job."""

    name: str
    namespace: str
    uid: str = ""
    digest: str = ""
    """`sha256:…` of the bundle that it is for."""
    created: str = ""
    """A time with its zone, as the API server writes it."""
    outcome: str = ""
    """Complete, Failed, or nothing while it goes on."""
    reason: str = ""
    message: str = ""
    suspended: bool = False
    container: str = ""
    """The container that counts; others may have been put beside it (a proxy)."""
    final: frozenset[int] = frozenset()
    """Exit codes after which Kubernetes tries no more, whatever is left of its attempts."""
    attempts: tuple[Attempt, ...] = field(default=())
    """The oldest first; Kubernetes keeps those that failed until the Job goes."""

    @property
    def job(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def last(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def began(self) -> bool:
        """A container of it has run, or runs."""
        return any(each.began for each in self.attempts)

    @property
    def running(self) -> bool:
        """A container of it runs."""
        return any(each.began and not each.over for each in self.attempts)

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the newest attempt reported."""
        return self.last.summary if self.last else None

    @property
    def exit_code(self) -> int | None:
        """The newest container's. 7 when the Job failed and no container said how; None when none has ended."""
        if self.outcome == COMPLETE:
            return 0
        if self.last and self.last.exit_code is not None:
            return self.last.exit_code
        return CLUSTER_REFUSED if self.outcome == FAILED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A bundle in the cluster beside the one here."""

    name: str
    """The (first) ConfigMap."""
    files: int
    """How many are here."""
    digest: str
    """Of what is here."""
    found: str = ""
    """The digest that the ConfigMap in the cluster says; empty when there is none."""
    keys: int = 0
    """How many files the cluster has."""
    missing: tuple[str, ...] = ()
    """ConfigMaps that are not there."""
    differing: tuple[str, ...] = ()
    """Files that are here or there alone, or differ."""

    @property
    def same(self) -> bool:
        """The cluster holds what is here."""
        return not self.missing and not self.differing


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStanding:
    """How migrations stand in a namespace."""

    namespace: str
    bundle: Held
    job: str
    """The Job's name."""
    rollout: Rollout | None
    """None when there is no Job."""
    obstacle: tuple[str, str] | None = None
    """(reason, message) of what keeps it from starting."""

    @property
    def settled(self) -> bool:
        """The cluster holds what is here, and its Job has applied it."""
        done = self.rollout is not None and self.rollout.exit_code == 0 and self.rollout.digest == self.bundle.digest
        return self.bundle.same and done
