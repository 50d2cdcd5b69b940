"""When a Job that others wait for would end with 8: the application may start, and somebody hears of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.kube import job, pod
from tidelock.kube.delivery import DIGEST

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

NAME = "told"


def gated(delivery: Delivery) -> Delivery:
    """The same where the tool starts nothing before the Job has succeeded.

    With critical tables that have a fallback the Job then ends with 0 as soon as all of them are there, and a second
    Job, after the application, fails as long as one stands on its fallback.
    """
    tolerant = delivery.tables and delivery.workload.on_fallback == "start"
    return replace(delivery, tolerant=tolerant)


def telling_job(delivery: Delivery, *, hashed: bool = False) -> list[dict[str, Any]]:
    """`tidelock status --exit-code`: 1 while a migration is pending, which is what a fallback stands in for."""
    if not delivery.tolerant:
        return []
    args = ["status", "--exit-code", *pod.files(delivery), *pod.manner(delivery)]
    spec = job.job_spec(delivery, NAME, NAME, args)
    name = f"{delivery.workload.job}-{NAME}"
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": delivery.metadata(
                f"{name}-{job.fingerprint(spec)}" if hashed else name,
                NAME,
                labels={DIGEST: delivery.bundle.short},
                annotations=delivery.digests(),
            ),
            "spec": spec,
        }
    ]
