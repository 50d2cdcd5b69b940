"""How a delivery stands in its namespace: bundle here against ConfigMaps there, and the Job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.rollout import ClusterStanding, Held
from tidelock.kube.attempts import JOB_UID, obstacle, rollout
from tidelock.kube.configmap import bundle_maps
from tidelock.kube.deploy import digest_of

if TYPE_CHECKING:
    from tidelock.core.rollout import Rollout
    from tidelock.kube.client import Cluster
    from tidelock.kube.delivery import Delivery

    Object = dict[str, Any]


def look(cluster: Cluster, delivery: Delivery) -> ClusterStanding:
    """Ask for ConfigMaps, Job, pods, and, when it does not start, for events."""
    found = job_of(cluster, delivery)
    return ClusterStanding(
        namespace=cluster.namespace,
        bundle=held(cluster, delivery),
        job=found.name if found else delivery.workload.job,
        rollout=found,
        obstacle=in_the_way(cluster, found) if found else None,
    )


def job_of(cluster: Cluster, delivery: Delivery) -> Rollout | None:
    """The Job with its attempts: under its plain name, or the newest under a name with a digest. None without any."""
    job = cluster.get("Job", delivery.workload.job)
    if job is None:
        found = cluster.all_of("Job", labels=delivery.selector("migration"))
        job = max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]), default=None)
    return rollout(job, cluster.all_of("Pod", labels={JOB_UID: job["metadata"]["uid"]})) if job else None


def in_the_way(cluster: Cluster, found: Rollout) -> tuple[str, str] | None:
    """What keeps the Job from starting."""
    if found.outcome or (found.last and (found.last.began or found.last.over)):
        return None
    about = found.last.pod if found.last else found.name
    return obstacle(found, cluster.events(about))


def held(cluster: Cluster, delivery: Delivery) -> Held:
    """The bundle's ConfigMaps there beside what they would be."""
    wanted = bundle_maps(delivery)
    there = {each["metadata"]["name"]: cluster.get("ConfigMap", each["metadata"]["name"]) for each in wanted}
    first = there[wanted[0]["metadata"]["name"]]
    contents_here: dict[str, Any] = {}
    contents_there: dict[str, Any] = {}
    for each in wanted:
        contents_here |= contents(each)
        contents_there |= contents(there[each["metadata"]["name"]] or {})
    names = contents_here.keys() | contents_there.keys()
    return Held(
        name=delivery.config_map,
        files=len(delivery.bundle.files),
        digest=delivery.bundle.digest,
        found=digest_of(first) if first else "",
        keys=len(contents_there),
        missing=tuple(name for name, found in there.items() if found is None),
        differing=tuple(sorted(name for name in names if contents_here.get(name) != contents_there.get(name))),
    )


def contents(config_map: Object) -> dict[str, Any]:
    """Key → what it holds."""
    return {**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})}
