"""Manifests for the operator: itself, a bundle that it watches, and a MigrationTarget that says for which database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.errors import UsageFault
from tidelock.kube import network, rights
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.flavours.kubectl import BACKUP, NETWORK, RIGHTS, backups, head
from tidelock.kube.yaml import documents
from tidelock.operator import manifests, resource

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery


class ManyBundles(UsageFault):
    """ConfigMaps under a new name for each bundle, where the operator knows a bundle by its one name."""

    code = "U047"

    def __init__(self, bundle: str) -> None:
        super().__init__(
            f"immutable ConfigMaps are not for the operator: {bundle} would be there once for each digest, and a "
            "target would stand at BundleIncomplete",
            hint="leave out immutable ([kube] of tidelock.toml, or --immutable), or render for another tool",
        )


def files(delivery: Delivery) -> dict[str, str]:
    """What `kube render --for operator` writes. The definition comes first: a target needs it. Raises ManyBundles."""
    if delivery.workload.immutable:
        raise ManyBundles(delivery.workload.bundle)
    found = {
        "operator-crd.yaml": [resource.definition()],
        "operator.yaml": manifests.installation(delivery),
        "migrations.yaml": [*bundle_maps(delivery), *settings_map(delivery)],
        "migration-target.yaml": [manifests.target(delivery)],
        RIGHTS: rights.pod_account(delivery),
        NETWORK: [network.policy(delivery)],
        BACKUP: backups(delivery),
    }
    return {name: head() + documents(objects) for name, objects in found.items() if objects}
