"""The CronJobs that are started from hand or by the clock, and the Job that is made from one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tidelock.kube import job, pod
from tidelock.kube.faults import NotThere

if TYPE_CHECKING:
    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery

    Object = dict[str, Any]

INSTANTIATE = {"cronjob.kubernetes.io/instantiate": "manual"}
"""As `kubectl create job --from` writes it."""


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
    """A Job's spec whose containers expect the bundle and settings that ours does, where they expect any."""
    meant = {
        each["name"]: each["value"]
        for each in ours["template"]["spec"]["containers"][0]["env"]
        if each["name"] in pod.EXPECTED
    }
    copy: Object = json.loads(json.dumps(spec))
    for container in copy["template"]["spec"]["containers"]:
        for variable in container.get("env") or []:
            if variable["name"] in meant and "value" in variable:
                variable["value"] = meant[variable["name"]]
    return copy
