"""Kustomize: a base for overlays, with the Job under a name that changes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.kube import cronjob, job
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.flavours.kubectl import head, written
from tidelock.kube.yaml import document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.kube.delivery import Delivery


def files(delivery: Delivery) -> dict[str, str]:
    """The manifests and their kustomization.yaml.

    `kubectl apply -k` cannot replace a Job, and kustomize adds its own suffix to ConfigMaps and Secrets alone: so the
    name bears a digest of all that makes the Job another one.
    """
    run = [
        *bundle_maps(delivery),
        *settings_map(delivery),
        job.job(delivery, hashed=True),
        cronjob.migration(delivery),
    ]
    found = written(delivery, run, deployed=True)
    return {**found, "kustomization.yaml": kustomization(sorted(found))}


def kustomization(names: Iterable[str], **more: Any) -> str:
    """kustomization.yaml over these files."""
    value = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*names], **more}
    return head() + document(value)
