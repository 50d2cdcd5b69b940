"""The pod that runs Tidelock: unprivileged, without a token, with the bundle at /migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.workload import KeyReference, referenced
from tidelock.kube.configmap import COMMIT_KEY, bundle_volume, settings_volume
from tidelock.kube.delivery import BUNDLE_DIGEST, DIGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.workload import Workload
    from tidelock.kube.delivery import Delivery

MIGRATION = "migration"
"""The component that may need a token."""
EXPECTED = ("TIDELOCK_BUNDLE", "TIDELOCK_SETTINGS")
"""Variables that say what has to be mounted."""
COMMIT = "TIDELOCK_COMMIT"
"""The variable that says which commit it is of."""
USER = 65_532
"""As in the Dockerfile."""
MIGRATIONS = "/migrations"
SETTINGS = "/etc/tidelock"
AUTHORITY = "/etc/tidelock-ca"
GRACE_S = 30
"""SIGTERM ends a run within 5 s (`cli/main.py`); the rest is for a busy node."""
UNREACHABLE_S = 30
"""How long a pod stays bound to a node that nobody hears of; the usual 5 min would be added to each outage."""


def template(delivery: Delivery, component: str, container: dict[str, Any], *, bundled: bool = True) -> dict[str, Any]:
    """The pod template of a Job with one container; not `bundled`: it needs no migrations."""
    digest = {DIGEST: delivery.bundle.short} if bundled else {}
    of_bundle = {BUNDLE_DIGEST: delivery.bundle.digest} if bundled else {}
    return {
        "metadata": {
            "labels": {**delivery.labels(component), **digest},
            "annotations": {**of_bundle, "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        },
        "spec": {
            "serviceAccountName": delivery.workload.service_account,
            "automountServiceAccountToken": delivery.token and component == MIGRATION,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_S,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [
                {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": UNREACHABLE_S}
                for state in ("unreachable", "not-ready")
            ],
            **pull_secrets(delivery.workload),
            "containers": [container],
            "volumes": volumes(delivery, bundled=bundled),
        },
    }  # fmt: skip


def pull_secrets(workload: Workload) -> dict[str, Any]:
    """What the image is pulled with."""
    names = [{"name": each} for each in workload.pull_secrets]
    return {"imagePullSecrets": names} if names else {}


def container(delivery: Delivery, name: str, args: Sequence[str], *, bundled: bool = True) -> dict[str, Any]:
    """Tidelock with these arguments."""
    workload = delivery.workload
    return {
        "name": name,
        "image": workload.image_with_tag,
        "args": [*args],
        "env": [*connection(delivery), *(identity(delivery) if bundled else [])],
        **env_from(workload),
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": workload.cpu, "memory": workload.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(delivery, bundled=bundled),
    }


def files(delivery: Delivery) -> list[str]:
    """The arguments that say where the files are, and which database they are for."""
    return ["--dir", MIGRATIONS, *settings_files(delivery)]


def settings_files(delivery: Delivery) -> list[str]:
    """The arguments that say where the settings are, and which of its databases is meant."""
    config = ["--config", f"{SETTINGS}/tidelock.toml"] if "tidelock.toml" in delivery.settings.names else []
    return [*config, *(["--database", delivery.database] if config and delivery.database else [])]


def manner(delivery: Delivery) -> list[str]:
    """The arguments that say how long one attempt is patient, and how it speaks."""
    logs = ["--log-format", "json"] if delivery.workload.logs == "json" else []
    return ["--wait", duration(delivery.workload.wait_s), *logs]


def duration(seconds: float) -> str:
    """`300s`, `0.5s`: as `--wait` and a MigrationTarget read it."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def connection(delivery: Delivery) -> list[dict[str, Any]]:
    """The variables that lead to the database and to the store, and whatever else tidelock.toml names."""
    found = [variable(name, value) for name, value in delivery.workload.variables()]
    if delivery.workload.ca:
        key = reference(delivery.workload)
        found.append({"name": "PGSSLROOTCERT", "value": f"{AUTHORITY}/{key.key}"})
    return found


def identity(delivery: Delivery) -> list[dict[str, Any]]:
    """The variables that say which bundle and settings are meant, and the commit when somebody told it.

    The commit is read from a ConfigMap, so that a Job does not differ because of it.
    """
    commit = {"name": delivery.settings_map, "key": COMMIT_KEY, "optional": True}
    return [
        {"name": "TIDELOCK_BUNDLE", "value": delivery.bundle.digest},
        *([{"name": "TIDELOCK_SETTINGS", "value": delivery.settings.digest}] if delivery.settings.names else []),
        {"name": COMMIT, "valueFrom": {"configMapKeyRef": commit}},
    ]


def variable(name: str, value: str | KeyReference) -> dict[str, Any]:
    """One variable of a container."""
    if isinstance(value, str):
        return {"name": name, "value": value}
    kind = "secretKeyRef" if value.kind == "secret" else "configMapKeyRef"
    return {"name": name, "valueFrom": {kind: {"name": value.name, "key": value.key}}}


def env_from(workload: Workload) -> dict[str, Any]:
    """Whole Secrets and ConfigMaps as variables."""
    found = [
        {"configMapRef": {"name": each.removeprefix("configmap/")}}
        if each.startswith("configmap/")
        else {"secretRef": {"name": each.removeprefix("secret/")}}
        for each in workload.env_from
    ]
    return {"envFrom": found} if found else {}


def reference(workload: Workload) -> KeyReference:
    """Where the CA lies. Raises BadReference."""
    from tidelock.core.workload import BadReference

    found = referenced("ca", workload.ca)
    if isinstance(found, str):
        raise BadReference("ca", workload.ca)
    return found


def mounts(delivery: Delivery, *, bundled: bool) -> list[dict[str, Any]]:
    """Where the volumes appear."""
    found: list[dict[str, Any]] = []
    if bundled:
        found.append({"name": "migrations", "mountPath": MIGRATIONS, "readOnly": True})
    if delivery.settings.names:
        found.append({"name": "settings", "mountPath": SETTINGS, "readOnly": True})
    if delivery.workload.ca:
        found.append({"name": "ca", "mountPath": AUTHORITY, "readOnly": True})
    return [*found, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own


def volumes(delivery: Delivery, *, bundled: bool) -> list[dict[str, Any]]:
    """Bundle, settings, CA, and room for temporary files."""
    found = [bundle_volume("migrations", delivery)] if bundled else []
    if delivery.settings.names:
        found.append(settings_volume("settings", delivery))
    if delivery.workload.ca:
        key = reference(delivery.workload)
        items = [{"key": key.key, "path": key.key}]
        kind = {"secretName": key.name} if key.kind == "secret" else {"name": key.name}
        found.append({"name": "ca", ("secret" if key.kind == "secret" else "configMap"): {**kind, "items": items}})
    return [*found, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
