"""What a pod's containers are up to, and the pod's status made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.rig.kube.api import now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightkube.models.core_v1 import Container as Wanted

State = dict[str, Any]


def waiting(reason: str, message: str = "") -> State:
    """Not yet running."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def ended(exit_code: int, began: str, words: str = "", reason: str = "", container: str = "") -> State:
    """Over."""
    reason = reason or ("Error" if exit_code else "Completed")
    state = {"exitCode": exit_code, "reason": reason, "startedAt": began, "finishedAt": now(), "containerID": container}
    return {"terminated": {**state, **({"message": words} if words else {})}}


LOST = 137
"""The exit code of a container that nobody saw end."""


@dataclass
class Record:
    """One container of a pod over its restarts."""

    wanted: Wanted
    folder: Path
    state: State
    last: State = field(default_factory=dict)
    restarts: int = 0
    id: str = ""

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def over(self) -> bool:
        return "terminated" in self.state

    @property
    def succeeded(self) -> bool:
        return self.over and self.state["terminated"]["exitCode"] == 0

    def log(self, *, previous: bool = False) -> Path:
        """The log of its present run, or of the one before."""
        return self.folder / f"{self.name}.{self.restarts - previous}.log"

    def status(self) -> dict[str, Any]:
        """As the API wants it."""
        image = self.wanted.image
        return {
            "name": self.name, "image": image, "imageID": image, "restartCount": self.restarts, "state": self.state,
            "lastState": self.last, "ready": self.running, "started": self.running, "containerID": self.id,
        }  # fmt: skip


def phase_of(containers: Sequence[Record]) -> str:
    """Pending until a container has run."""
    seen = any(each.running or each.over or each.last for each in containers)
    return "Running" if seen else "Pending"


def pod_status(
    phase: str, inits: Sequence[Record], containers: Sequence[Record], address: str, began: str, reason: str
) -> dict[str, Any]:
    """The whole status of a pod."""
    ready = phase == "Running" and all(each.running for each in containers)
    conditions = {"Initialized": all(each.succeeded for each in inits), "ContainersReady": ready, "Ready": ready}
    over = phase in ("Succeeded", "Failed")
    status = {
        "phase": phase,
        "conditions": [_condition(name, met, over) for name, met in conditions.items()],
        "hostIP": address,
        "podIP": address,
        "startTime": began,
        "containerStatuses": [each.status() for each in containers],
    }
    if inits:
        status["initContainerStatuses"] = [each.status() for each in inits]
    return {**status, **({"reason": reason} if reason else {})}


def _condition(name: str, met: bool, over: bool) -> dict[str, Any]:
    why = "PodCompleted" if over else "ContainersNotReady"
    return {
        "type": name,
        "status": "True" if met else "False",
        "lastTransitionTime": now(),
        **({} if met else {"reason": why}),
    }
