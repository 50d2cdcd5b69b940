"""The CronJobs that are started from hand or by the clock, and the Job that is made from one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.kube import job, pod
from tidelock.kube.faults import NotThere

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery

    Object = dict[str, Any]

INSTANTIATE = {"cronjob.kubernetes.io/instantiate": "manual"}
"""As `kubectl create job --from` writes it."""
TOLD = (*pod.EXPECTED, pod.COMMIT)
"""Variables that go with a bundle."""
OURS = (pod.MIGRATIONS, pod.SETTINGS)
"""Where it is mounted, and its settings."""


def migration(delivery: Delivery) -> dict[str, Any]:
    """A CronJob that never runs by itself, for `kubectl create job --from=cronjob/NAME migration-manual`."""
    return cron_job(
        delivery,
        delivery.workload.job,
        "migration",
        {"schedule": "0 0 1 1 *", "suspend": True},
        job.job_spec(delivery, "migration", job.CONTAINER, job.migrate(delivery)),
    )


def backup(delivery: Delivery) -> dict[str, Any]:
    """`tidelock backup create`, by the clock and for `kubectl create job --from=cronjob/NAME backup-manual`."""
    args = ["backup", "create", *pod.settings_files(delivery), *pod.manner(delivery)]
    return cron_job(
        delivery,
        delivery.workload.backup,
        "backup",
        {"schedule": delivery.workload.schedule, "timeZone": "Etc/UTC"},
        job.job_spec(delivery, "backup", "backup", args, bundled=False),
    )


def cron_job(
    delivery: Delivery, name: str, component: str, when: dict[str, Any], spec: dict[str, Any]
) -> dict[str, Any]:
    """A CronJob that never has two Jobs at a time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": delivery.metadata(name, component),
        "spec": {
            **when,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": spec["template"]["metadata"]["labels"]},
                "spec": spec,
            },
        },
    }


def instantiated(cluster: Cluster, name: str, job: Object) -> Object:
    """The Job that a CronJob would make, under our Job's name and for our bundle. Raises NotThere."""
    found = cluster.get("CronJob", name)
    if found is None:
        raise NotThere(
            f"{cluster.namespace}/{name} (CronJob)",
            f"see `kubectl get cronjobs -n {cluster.namespace}`, or leave out --from-cronjob",
        )
    template = found["spec"]["jobTemplate"]
    meta = job["metadata"]
    owner = {
        "apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": found["metadata"]["uid"],
        "controller": True,
    }  # fmt: skip
    annotations = {
        **(template.get("metadata", {}).get("annotations") or {}),
        **meta.get("annotations", {}),
        **INSTANTIATE,
    }
    labels = {**(template.get("metadata", {}).get("labels") or {}), **meta["labels"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**meta, "labels": labels, "annotations": annotations, "ownerReferences": [owner]},
        "spec": for_bundle(template["spec"], job["spec"]),
    }


def for_bundle(spec: Object, ours: Object) -> Object:
    """A Job's spec that expects and mounts the bundle and settings that ours does, where it expects and mounts any.

    The CronJob may be of a time at which the bundle lay in fewer ConfigMaps, or in some of other names.
    """
    copy: Object = json.loads(json.dumps(spec))
    there, meant = copy["template"]["spec"], ours["template"]["spec"]
    variables = {each["name"]: each for each in meant["containers"][0]["env"] if each["name"] in TOLD}
    for container in there["containers"]:
        container["env"] = [
            wanted if (wanted := variables.get(each["name"])) and wanted.keys() == each.keys() else each
            for each in container.get("env") or []
        ]
    volumes = mounted(there, {path: volume for path, volume in mounts(meant) if path in OURS})
    there["volumes"] = [volumes.get(each["name"], each) for each in there.get("volumes") or []]
    return copy


def mounted(there: Object, meant: Mapping[str, Object]) -> dict[str, Object]:
    """Name → what the volume has to be, of those that ConfigMaps fill and that stand where one of ours does."""
    return {
        volume["name"]: {**meant[path], "name": volume["name"]}
        for path, volume in mounts(there)
        if path in meant and all("configMap" in each for each in sources(volume))
    }


def mounts(spec: Object) -> Iterator[tuple[str, Object]]:
    """(path, volume) of each mount of a pod's containers."""
    volumes = {each["name"]: each for each in spec.get("volumes") or []}
    for container in spec["containers"]:
        for each in container.get("volumeMounts") or []:
            if each["name"] in volumes:
                yield each["mountPath"].rstrip("/"), volumes[each["name"]]


def sources(volume: Object) -> list[Object]:
    """What a volume is filled from: itself, or what it projects."""
    found: list[Object] = (volume.get("projected") or {}).get("sources") or [volume]
    return found
