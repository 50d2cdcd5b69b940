"""Who may do what: pods of Tidelock nothing; who deploys, what `tidelock kube deploy` does and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

RIGHTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("", ("configmaps",), ("create", "delete", "get", "list", "patch")),
    ("batch", ("jobs",), ("create", "delete", "get", "list", "patch", "watch")),
    ("batch", ("cronjobs",), ("create", "get", "list", "patch")),
    ("", ("pods",), ("get", "list", "watch")),
    ("", ("pods/log",), ("get",)),
    ("", ("events",), ("get", "list", "watch")),
)
"""(API group, resources, verbs) of deploy, status, logs. No Secret is read: the pod gets those from the kubelet."""

SEEN: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("", ("serviceaccounts",), ("get",)),
    ("networking.k8s.io", ("networkpolicies",), ("get",)),
    ("apps", ("daemonsets", "deployments", "replicasets", "statefulsets"), ("list",)),
)
"""What it looks at beside: whether that is as it should be, and who mounts a ConfigMap that could go. Who may only
deploy must not change it."""


def pod_account(delivery: Delivery) -> list[dict[str, Any]]:
    """The ServiceAccount of the pods, without a token and without any right; none where an existing one is used.

    Where a backup by CloudNativePG precedes runs, the Role for that, and nothing else.
    """
    found = (
        [account(delivery, delivery.workload.service_account, "migration")] if delivery.workload.makes_account else []
    )
    return [*found, *backups_by_operator(delivery)] if delivery.token else found


def backups_by_operator(delivery: Delivery) -> list[dict[str, Any]]:
    """The Role to make a Backup of CloudNativePG and to look at it, in the namespace of its cluster."""
    name, workload = f"{delivery.workload.job}-backup", delivery.workload
    where = {"namespace": delivery.backup_namespace} if delivery.backup_namespace else {}
    metadata = {**delivery.metadata(name, "migration"), **where}
    rules = [{"apiGroups": ["postgresql.cnpg.io"], "resources": ["backups"], "verbs": ["create", "get"]}]
    return [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {**binding(delivery, name, workload.service_account), "metadata": metadata},
    ]


def account(delivery: Delivery, name: str, component: str) -> dict[str, Any]:
    """A ServiceAccount whose token nobody mounts by default."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": delivery.metadata(name, component),
        "automountServiceAccountToken": False,
    }


def deployer(delivery: Delivery) -> list[dict[str, Any]]:
    """A ServiceAccount for CI that can run `tidelock kube deploy`, its Role and their binding; none for `none`."""
    name = delivery.workload.deployer
    if name == "none":
        return []
    return [account(delivery, name, "deploy"), role(delivery, name), binding(delivery, name, name)]


def role(delivery: Delivery, name: str) -> dict[str, Any]:
    """The Role of who deploys."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": delivery.metadata(name, "deploy"),
        "rules": [
            {"apiGroups": [group], "resources": [*resources], "verbs": [*verbs]}
            for group, resources, verbs in (*RIGHTS, *SEEN)
        ],
    }


def binding(delivery: Delivery, name: str, account_name: str) -> dict[str, Any]:
    """The Role given to a ServiceAccount."""
    namespace = {"namespace": delivery.workload.namespace} if delivery.workload.namespace else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": delivery.metadata(name, "deploy"),
        "subjects": [{"kind": "ServiceAccount", "name": account_name, **namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
    }
