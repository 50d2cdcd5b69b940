"""What pods of Tidelock may reach: names, the database, and a store for backups where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery


def policy(delivery: Delivery) -> dict[str, Any]:
    """Nobody reaches the pods; they reach DNS, the database's port, and HTTPS for a store."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": delivery.metadata(delivery.workload.job, "network"),
        "spec": {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "tidelock",
                    "app.kubernetes.io/instance": delivery.workload.job,
                }
            },
            "policyTypes": ["Ingress", "Egress"],
            "egress": [
                {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
                {
                    **({"to": [database(delivery)]} if delivery.workload.database_labels else {}),
                    "ports": [{"protocol": "TCP", "port": delivery.workload.port}],
                },
                *([{"ports": https(delivery)}] if delivery.stores or delivery.token else []),
            ],
        },
    }


def https(delivery: Delivery) -> list[dict[str, Any]]:
    """The ports of a store and, for who asks it, of the API server."""
    return [{"protocol": "TCP", "port": port} for port in ((443, 6443) if delivery.token else (443,))]


def database(delivery: Delivery) -> dict[str, Any]:
    """The database's pods, in this namespace."""
    return {"podSelector": {"matchLabels": dict(delivery.workload.database_labels)}}
