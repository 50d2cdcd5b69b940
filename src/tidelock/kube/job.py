"""The migration Job, and the contract that every Job of Tidelock has."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tidelock.core.reconciling import LASTING
from tidelock.kube import pod
from tidelock.kube.delivery import DIGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.kube.delivery import Delivery

CONTAINER = "migrate"


def job(delivery: Delivery, *, hashed: bool = False) -> dict[str, Any]:
    """The Job that brings the database to where the bundle is."""
    name = delivery.workload.job
    spec = job_spec(delivery, "migration", CONTAINER, migrate(delivery))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": delivery.metadata(
            f"{name}-{fingerprint(spec)}" if hashed else name,
            "migration",
            labels={DIGEST: delivery.bundle.short},
            annotations=delivery.digests(),
        ),
        "spec": spec,
    }


def migrate(delivery: Delivery) -> list[str]:
    """`tidelock apply`, as the Job runs it."""
    tolerance = ["--on-fallback", "start"] if delivery.tolerant else []
    return ["apply", *pod.files(delivery), *pod.manner(delivery), *tolerance]


def fingerprint(spec: dict[str, Any]) -> str:
    """10 hex digits that change with anything that makes it another Job."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:10]


def job_spec(
    delivery: Delivery, component: str, container: str, args: Sequence[str], *, bundled: bool = True
) -> dict[str, Any]:
    """A Job's contract: what passes by itself (75, 137, 143) is tried again, what a person must mend fails at once.

    The order counts: a pod that is evicted ends with 75 or 137 and is no failure at all. No ttlSecondsAfterFinished:
    a GitOps tool that misses the Job would make it again, and who looks for the reason of a failure would find none.
    """
    return {
        "backoffLimit": delivery.workload.retries,
        "activeDeadlineSeconds": int(delivery.workload.deadline_s),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": container, "operator": "In", "values": [*LASTING]},
                },
            ]
        },
        "template": pod.template(
            delivery, component, pod.container(delivery, container, args, bundled=bundled), bundled=bundled
        ),
    }
