"""A node whose containers are local processes: `main` runs it until it is stopped."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightkube import ApiError
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import Node as NodeResource
from lightkube.resources.core_v1 import Pod as PodResource
from lightkube.types import PatchType

from tests.rig.kube.api import connect, now
from tests.rig.kube.loglines import serve
from tests.rig.kube.pod import GRACE_S, Pod
from tests.rig.kube.settings import Settings, read

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.core.client import FieldSelector

LEASES = "kube-node-lease"
LEASE_S = 40
STATUS_EVERY = 5
"""Beats from one full status to the next; between them the lease is renewed."""
VERSION = "v1.36.3"
CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "500", "ephemeral-storage": "100Gi"}
CONDITIONS = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
INFO = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeProxyVersion")
OVER = ("Succeeded", "Failed")
EXISTS = 409
MISSING = 404


class Node:
    """Takes the pods that are bound to it."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self.settings = settings
        self.client = client
        self.since = now()
        self.pods: dict[str, Pod] = {}

    def find(self, namespace: str, name: str) -> Pod | None:
        """The newest pod of that name."""
        found = [each for each in self.pods.values() if (each.namespace, each.name) == (namespace, name)]
        return found[-1] if found else None

    # Its sign of life

    def beat(self) -> None:
        """Register, and say again and again that it is there."""
        beats = 0
        while True:
            try:
                if beats % STATUS_EVERY == 0:
                    self._register()
                self._renew()
                beats += 1
            except Exception as error:  # the API server is away: the next beat tries again
                print(f"node: {error!r}", flush=True)
            time.sleep(self.settings.beat_s)

    def _register(self) -> None:
        name = self.settings.name
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        try:
            self.client.create(NodeResource(metadata=ObjectMeta(name=name, labels=labels)))
        except ApiError as error:
            if error.status.code != EXISTS:
                raise
        self.client.patch(NodeResource.Status, name, {"status": self._status()}, patch_type=PatchType.STRATEGIC)

    def _status(self) -> dict[str, Any]:
        beat = {"reason": "ProcessNode", "lastHeartbeatTime": now(), "lastTransitionTime": self.since}
        addresses = {"InternalIP": self.settings.address, "Hostname": self.settings.address}
        return {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "conditions": [{"type": name, "status": status, **beat} for name, status in CONDITIONS.items()],
            "addresses": [{"type": kind, "address": address} for kind, address in addresses.items()],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.settings.port}},
            "nodeInfo": {
                **dict.fromkeys(INFO, ""),
                "kubeletVersion": VERSION,
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        }

    def _renew(self) -> None:
        name = self.settings.name
        spec = LeaseSpec(holderIdentity=name, leaseDurationSeconds=LEASE_S, renewTime=datetime.now(UTC))
        try:
            self.client.patch(Lease, name, {"spec": spec.to_dict()}, namespace=LEASES, patch_type=PatchType.MERGE)
        except ApiError as error:
            if error.status.code != MISSING:
                raise
            self.client.create(Lease(metadata=ObjectMeta(name=name, namespace=LEASES), spec=spec))

    # Its pods

    def watch(self) -> None:
        """Follow the pods that are bound to it, for ever."""
        mine: FieldSelector = {"spec.nodeName": self.settings.name}
        while True:
            try:
                listed = self.client.list(PodResource, namespace="*", fields=mine)
                there = {str(each.metadata.uid): each for each in listed if each.metadata}
                for each in there.values():
                    self._seen(each)
                for uid in self.pods.keys() - there.keys():
                    self._gone(uid)
                version = listed.resourceVersion
                for kind, each in self.client.watch(PodResource, namespace="*", fields=mine, resource_version=version):
                    if kind == "DELETED" and each.metadata:
                        self._gone(str(each.metadata.uid))
                    else:
                        self._seen(each)
            except Exception as error:  # the watch ended, or the API server is away: list anew
                print(f"watch: {error!r}", flush=True)
                time.sleep(0.3)

    def _seen(self, seen: PodResource) -> None:
        assert seen.metadata is not None
        pod = self.pods.get(str(seen.metadata.uid))
        if pod is None:
            status = seen.status
            if status and status.phase in OVER:
                if seen.metadata.deletionTimestamp:
                    Pod(seen, self.client, self.settings).remove()
                return
            pod = self.pods[str(seen.metadata.uid)] = Pod(seen, self.client, self.settings)
            if status and status.startTime:
                pod.terminate(0)
                pod.lost()
                return
            pod.start()
        pod.seen = seen
        if seen.metadata.deletionTimestamp:
            if pod.over.is_set():
                pod.remove()
            elif not pod.terminating:
                grace = seen.metadata.deletionGracePeriodSeconds
                pod.terminate(GRACE_S if grace is None else grace)

    def _gone(self, uid: str) -> None:
        """It was removed by force."""
        pod = self.pods.pop(uid, None)
        if pod is not None and not pod.over.is_set():
            pod.terminate(0)


def main() -> None:
    """Run the node whose settings stand in the file that is the last argument."""
    settings = read(Path(sys.argv[-1]))
    settings.folder.mkdir(parents=True, exist_ok=True)
    node = Node(settings, connect(settings.kubeconfig))
    for work in (node.beat, node.watch):
        threading.Thread(target=work, daemon=True).start()
    serve(settings, node.find)


if __name__ == "__main__":
    main()
