"""A namespace of a test's own."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.rig.kube.access import WAIT_S, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.kube.access import Access
FINISHED = ("Complete", "Failed")


@dataclass
class Namespace:
    """Where a test makes its objects."""

    cluster: Access
    name: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """kubectl, in this namespace."""
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """The object, or the list of objects."""
        return self.cluster.get("-n", self.name, *arguments)

    def there(self, *arguments: str) -> bool:
        """Whether the object exists."""
        return self.cluster.there("-n", self.name, *arguments)

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """Make objects, or change them (server-side apply)."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def config_map(self, name: str, data: Mapping[str, str]) -> None:
        """Make a ConfigMap, or change it."""
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)})

    def secret(self, name: str, data: Mapping[str, str]) -> None:
        """Make a Secret, or change it."""
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(data)})

    def finished(self, name: str, wait_s: float = WAIT_S) -> dict[str, Any]:
        """The Job of that name, when it has succeeded or failed."""
        until(lambda: outcome(self.get("job", name)), wait_s, what=f"job/{name} has not finished")
        return dict(self.get("job", name))

    def pods(self, job: str) -> list[dict[str, Any]]:
        """The pods of a Job, the oldest first."""
        found = self.get("pods", "-l", f"batch.kubernetes.io/job-name={job}")["items"]
        return sorted(found, key=lambda each: each["metadata"]["creationTimestamp"])

    def running(self, job: str, wait_s: float = WAIT_S) -> dict[str, Any]:
        """The newest pod of a Job, when it runs."""
        ends = time.monotonic() + wait_s
        while True:
            for pod in reversed(self.pods(job)):
                if pod["status"].get("phase") == "Running":
                    return dict(pod)
            assert time.monotonic() < ends, f"job/{job} does not run: {self.pods(job)}"
            time.sleep(0.1)

    def ended(self, job: str) -> dict[str, Any]:
        """How the newest pod's first container ended: exitCode, message, reason, …"""
        state = self.pods(job)[-1]["status"]["containerStatuses"][0]["state"]
        return dict(state["terminated"])


def outcome(job: Mapping[str, Any]) -> str:
    """Complete, Failed, or nothing while it goes on."""
    met = {each["type"] for each in job["status"].get("conditions", []) if each["status"] == "True"}
    return next((each for each in FINISHED if each in met), "")


def job(name: str, *command: str, **pod: Any) -> dict[str, Any]:
    """A Job of one container `main` that is not tried again. What `pod` has of the Job or the container goes there."""
    of_job = {key: pod.pop(key) for key in ("backoffLimit", "podFailurePolicy", "activeDeadlineSeconds") if key in pod}
    of_container = ("env", "envFrom", "volumeMounts", "image", "args", "terminationMessagePolicy", "securityContext")
    container = {key: pod.pop(key) for key in of_container if key in pod}
    main = {"name": "main", "image": "host", **({"command": list(command)} if command else {}), **container}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, **pod, "containers": [main]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, **of_job, "template": {"spec": spec}},
    }
