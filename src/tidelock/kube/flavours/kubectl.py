"""Plain kubectl: the seeds' own file names, a Job under its plain name, and whoever deploys replaces it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.kube import cronjob, job, network, rights
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.yaml import documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.kube.delivery import Delivery

JOB = "migration-job.yaml"
BACKUP = "backup-cronjob.yaml"
RIGHTS = "rights.yaml"
NETWORK = "network-policy.yaml"


def files(delivery: Delivery) -> dict[str, str]:
    """The manifests; `tidelock kube deploy` applies them, and makes the Job anew when it changed."""
    return written(
        delivery,
        [*bundle_maps(delivery), *settings_map(delivery), job.job(delivery), cronjob.migration(delivery)],
        deployed=True,
    )


def written(delivery: Delivery, run: Sequence[dict[str, Any]], *, deployed: bool = False) -> dict[str, str]:
    """`run` in the file of the Job, and the rest; `deployed`: somebody deploys with a token of the cluster."""
    who = [*rights.pod_account(delivery), *(rights.deployer(delivery) if deployed else [])]
    found = {JOB: run, BACKUP: backups(delivery), RIGHTS: who, NETWORK: [network.policy(delivery)]}
    return {name: head() + documents(objects) for name, objects in found.items() if objects}


def backups(delivery: Delivery) -> list[dict[str, Any]]:
    """The CronJob of backups, where there is a store for them."""
    return [cronjob.backup(delivery)] if delivery.stores else []


def head() -> str:
    """The first line of each file."""
    return "# Written by `tidelock kube render` from tidelock.toml and the migrations. Edit those, and render again.\n"
