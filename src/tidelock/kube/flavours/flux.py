"""Flux: one Kustomization with the Job, which the application's own depends on, and one that tells of fallbacks.

Flux makes an object anew when a field is immutable and the object carries its `force` annotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.kube import cronjob, job
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.flavours.argocd import annotated
from tidelock.kube.flavours.kubectl import head, written
from tidelock.kube.flavours.kustomize import kustomization
from tidelock.kube.tolerance import gated, telling_job
from tidelock.kube.yaml import documents

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

FORCE = {"kustomize.toolkit.fluxcd.io/force": "enabled"}
AS_IT_IS = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
"""SQL with `${…}` stays as it is, also where the Kustomization substitutes variables."""
TIMEOUT = "30m"
"""How long Flux waits for the Job before it calls the Kustomization not ready; it goes on looking afterwards."""


def files(delivery: Delivery) -> dict[str, str]:
    """`migration/` and `told/` for Flux to read, and `flux.yaml` for the directory of the cluster."""
    delivery = gated(delivery)
    maps = [annotated(each, AS_IT_IS) for each in (*bundle_maps(delivery), *settings_map(delivery))]
    run = [*maps, annotated(job.job(delivery), FORCE)]
    manifests = written(delivery, [*run, cronjob.migration(delivery)])
    told = [annotated(each, FORCE) for each in telling_job(delivery)]
    found = {f"migration/{name}": text for name, text in manifests.items()}
    found["migration/kustomization.yaml"] = kustomization(sorted(manifests))
    if told:
        found["told/told-job.yaml"] = head() + documents(told)
        found["told/kustomization.yaml"] = kustomization(["told-job.yaml"])
    found["flux.yaml"] = head() + HOW + documents(orders(delivery, told=bool(told)))
    return found


HOW = """\
# Copy it into the directory of the cluster. The application's Kustomization waits for the Job:
#   spec:
#     dependsOn: [{name: NAME-OF-THE-FIRST-ONE-BELOW}]
"""


def orders(delivery: Delivery, *, told: bool) -> list[dict[str, Any]]:
    """The Kustomizations of Flux, for the directory of the cluster."""
    name = delivery.workload.job
    found = [order(delivery, name, "migration")]
    if told:
        found.append(order(delivery, f"{name}-told", "told", dependsOn=[{"name": name}]))
    return found


def order(delivery: Delivery, name: str, folder: str, **more: Any) -> dict[str, Any]:
    """One of them; ready once its Job has succeeded."""
    namespace = {"targetNamespace": delivery.workload.namespace} if delivery.workload.namespace else {}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {
            **more,
            "interval": "10m",
            "retryInterval": "2m",
            "timeout": TIMEOUT,
            "wait": True,
            "prune": True,
            **namespace,
            "sourceRef": {"kind": "GitRepository", "name": delivery.workload.source},
            "path": f"./{delivery.where}/{folder}".replace("/./", "/"),
        },
    }
