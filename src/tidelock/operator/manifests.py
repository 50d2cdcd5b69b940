"""How the operator is installed: the resource's definition, its rights, its Deployment; and a target for a delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.kube import pod
from tidelock.operator import resource

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

    Object = dict[str, Any]

NAME = "tidelock-operator"
PORT = 8080
RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (resource.GROUP, resource.PLURAL, ("get", "list", "watch")),
    (resource.GROUP, f"{resource.PLURAL}/status", ("patch",)),
    (resource.GROUP, f"{resource.PLURAL}/finalizers", ("update",)),
    ("", "configmaps", ("get", "list", "watch")),
    ("batch", "jobs", ("create", "delete", "get", "list", "patch", "watch")),
    ("", "pods", ("list",)),
    ("", "events", ("create", "list")),
    ("coordination.k8s.io", "leases", ("create", "get", "update")),
)
"""What the operator may do in its namespace. No Secret: the pods of Jobs get those from the kubelet. The finalizers
are for owner references that block the deletion of the owner."""


def installation(delivery: Delivery) -> list[Object]:
    """ServiceAccount, Role, binding and Deployment of an operator for one namespace."""
    return [account(delivery), role(delivery), binding(delivery), deployment(delivery)]


def metadata(delivery: Delivery) -> Object:
    """Of each of them."""
    namespace = {"namespace": delivery.workload.namespace} if delivery.workload.namespace else {}
    labels = {**delivery.workload.labels, **selector(), "app.kubernetes.io/managed-by": "tidelock"}
    return {"name": NAME, **namespace, "labels": labels}


def selector() -> dict[str, str]:
    """The labels of its pods."""
    return {"app.kubernetes.io/name": "tidelock", "app.kubernetes.io/component": "operator"}


def account(delivery: Delivery) -> Object:
    """Its ServiceAccount; its own pods alone mount the token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(delivery),
        "automountServiceAccountToken": False,
    }


def role(delivery: Delivery) -> Object:
    """What it may do."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(delivery),
        "rules": [{"apiGroups": [group], "resources": [what], "verbs": [*verbs]} for group, what, verbs in RIGHTS],
    }


def binding(delivery: Delivery) -> Object:
    """The Role for the ServiceAccount."""
    namespace = {"namespace": delivery.workload.namespace} if delivery.workload.namespace else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(delivery),
        "subjects": [{"kind": "ServiceAccount", "name": NAME, **namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
    }


def deployment(delivery: Delivery) -> Object:
    """Two of them: one acts, the other stands by."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(delivery),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selector()},
            "template": {
                "metadata": {
                    "labels": selector(),
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
                },
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": True,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True, "runAsUser": pod.USER, "runAsGroup": pod.USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    **pod.pull_secrets(delivery.workload),
                    "containers": [container(delivery)],
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
                },
            },
        },
    }  # fmt: skip


def container(delivery: Delivery) -> Object:
    """The operator itself."""

    def probe(path: str, failures: int) -> Object:
        return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": 10, "failureThreshold": failures}

    def field(path: str) -> Object:
        return {"valueFrom": {"fieldRef": {"fieldPath": path}}}

    return {
        "name": "operator",
        "image": delivery.workload.image_with_tag,
        "args": ["operator", "run", "--listen", f":{PORT}"],
        "env": [
            {"name": "POD_NAME", **field("metadata.name")},
            {"name": "POD_NAMESPACE", **field("metadata.namespace")},
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "livenessProbe": probe("/healthz", 6),
        "readinessProbe": probe("/readyz", 3),
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }


def target(delivery: Delivery) -> Object:
    """The MigrationTarget for a delivery."""
    found = delivery.metadata(delivery.workload.job, "target")
    return {
        "apiVersion": resource.API,
        "kind": resource.KIND,
        "metadata": found,
        "spec": resource.specification(delivery.workload, delivery.database, token=delivery.token),
    }
