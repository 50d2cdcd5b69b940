"""Argo CD: waves. ConfigMaps first, then the Job under a name that changes with it, then the application.

No hooks: Argo runs those at every sync, also when nothing changed. No TTL: Argo would miss the Job and make it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.kube import cronjob, job, network, rights
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.flavours.kubectl import NETWORK, RIGHTS, head, written
from tidelock.kube.tolerance import gated, telling_job
from tidelock.kube.yaml import documents

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

WAVE = "argocd.argoproj.io/sync-wave"
OPTIONS = "argocd.argoproj.io/sync-options"
FIRST, RUN, AFTER = "-2", "-1", "1"


def files(delivery: Delivery) -> dict[str, str]:
    """The manifests for an Application that reads this directory; what is in no wave of its own waits for the Job."""
    delivery = gated(delivery)
    maps = [
        annotated(each, {WAVE: FIRST, OPTIONS: "ServerSideApply=true"})
        for each in (*bundle_maps(delivery), *settings_map(delivery))
    ]
    jobs = [annotated(job.job(delivery, hashed=True), {WAVE: RUN})]
    jobs += [annotated(each, {WAVE: AFTER}) for each in telling_job(delivery, hashed=True)]
    found = written(delivery, [*maps, *jobs, cronjob.migration(delivery)])
    if accounts := rights.pod_account(delivery):
        found[RIGHTS] = head() + documents([annotated(each, {WAVE: FIRST}) for each in accounts])
    found[NETWORK] = head() + documents([annotated(network.policy(delivery), {WAVE: FIRST})])
    return found


def annotated(value: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    """The object with further annotations."""
    metadata = value["metadata"]
    return {**value, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **annotations}}}
