"""Helm: a chart whose Job runs before the release is installed or upgraded, and only when it is another one.

Helm knows hooks at every upgrade. So the Job's template looks whether that very Job has succeeded already.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

from tidelock import __version__
from tidelock.errors import ClusterFault
from tidelock.kube import cronjob, job, network, rights
from tidelock.kube.configmap import bundle_maps, settings_map
from tidelock.kube.flavours.argocd import annotated
from tidelock.kube.flavours.kubectl import backups, head
from tidelock.kube.tolerance import gated, telling_job
from tidelock.kube.yaml import document, documents

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

RUN = "tidelock.dev/run"
RELEASE_BYTES = 1 << 20
"""What Kubernetes takes as the Secret in which Helm keeps a release: chart, manifests and hooks, compressed."""
BEFORE_ANY = "pre-install,pre-upgrade,pre-rollback"
"""What jobs mount goes back with a rollback, so that the CronJob finds its bundle; migrations do not: no Job runs."""
ROOM = 0.9
"""Part of it that ours may take: the names of a release and its values come to it."""
GUARD = """\
{{{{- $job := lookup "batch/v1" "Job" {namespace} {name} }}}}
{{{{- $run := dig "metadata" "annotations" "{run}" "" ($job | default dict) }}}}
{{{{- if not (and (eq $run {fingerprint}) (dig "status" "succeeded" 0 ($job | default dict))) }}}}
"""


class ReleaseTooLarge(ClusterFault):
    """The chart would not fit into the Secret in which Helm keeps a release."""

    code = "K004"

    def __init__(self, size_bytes: int, bundle_bytes: int) -> None:
        super().__init__(
            f"the chart takes {size_bytes:,} bytes of the Secret in which Helm keeps a release, and that holds "
            f"{RELEASE_BYTES:,}; the bundle has {bundle_bytes:,} bytes",
            hint="render for kubectl or kustomize and apply that before `helm upgrade`, put the migrations into an "
            "image, or compress large files (.sql.gz)",
        )


def files(delivery: Delivery) -> dict[str, str]:
    """A chart. Raises ReleaseTooLarge."""
    delivery = gated(delivery)
    found = {
        "Chart.yaml": head() + document(chart(delivery)),
        "values.yaml": head() + "# Nothing to set: what the Job is, tidelock.toml says.\n",
        **templates(delivery),
    }
    if (size := release_bytes(found)) > RELEASE_BYTES * ROOM:
        raise ReleaseTooLarge(size, delivery.bundle.size_bytes)
    return found


def templates(delivery: Delivery) -> dict[str, str]:
    """What the chart installs: hooks before it, hooks after it, and the rest with it."""
    before = [
        hook(each, BEFORE_ANY, weight)
        for weight, objects in (
            (-20, [*rights.pod_account(delivery), network.policy(delivery)]),
            (-10, [*bundle_maps(delivery), *settings_map(delivery)]),
        )
        for each in objects
    ]
    with_it = [cronjob.migration(delivery), *backups(delivery)]
    found = {
        "templates/bundle.yaml": head() + literal(documents(before)),
        "templates/migration-job.yaml": head() + guarded(delivery, job.job(delivery), "pre-install,pre-upgrade", 0),
        "templates/others.yaml": head() + literal(documents(with_it)),
    }
    for told in telling_job(delivery):
        found["templates/told-job.yaml"] = head() + guarded(delivery, told, "post-install,post-upgrade", 0)
    return found


def chart(delivery: Delivery) -> dict[str, Any]:
    """Chart.yaml; its version tells bundles apart."""
    return {
        "apiVersion": "v2",
        "name": delivery.workload.job,
        "description": "Database migrations, applied before what depends on this chart",
        "type": "application",
        "version": f"{__version__}+{delivery.bundle.short}",
        "appVersion": delivery.bundle.short,
    }


def hook(value: dict[str, Any], moments: str, weight: int) -> dict[str, Any]:
    """The object as a hook that replaces its predecessor."""
    return annotated(
        value,
        {
            "helm.sh/hook": moments,
            "helm.sh/hook-weight": str(weight),
            "helm.sh/hook-delete-policy": "before-hook-creation",
        },
    )


def guarded(delivery: Delivery, value: dict[str, Any], moments: str, weight: int) -> str:
    """The Job as a hook that is left out when it has succeeded already, as it is."""
    mark = job.fingerprint(value["spec"])
    namespace = json.dumps(delivery.workload.namespace) if delivery.workload.namespace else ".Release.Namespace"
    start = GUARD.format(
        namespace=namespace, name=json.dumps(value["metadata"]["name"]), run=RUN, fingerprint=json.dumps(mark)
    )
    return f"{start}{literal(document(hook(annotated(value, {RUN: mark}), moments, weight)))}{{{{- end }}}}\n"


def literal(text: str) -> str:
    """Text that comes out of a template as it is, also where it has braces."""
    return text.replace("{{", '{{ "{{" }}')


def release_bytes(chart_files: dict[str, str]) -> int:
    """About what the release takes: the templates, and once more what they come to."""
    kept = {
        "chart": [base64.b64encode(text.encode()).decode() for text in chart_files.values()],
        "manifest": [text for name, text in chart_files.items() if name.startswith("templates/")],
    }
    return len(gzip.compress(json.dumps(kept).encode(), mtime=0)) * 4 // 3
