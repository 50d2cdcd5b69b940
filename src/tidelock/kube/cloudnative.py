"""A backup by CloudNativePG: a Backup resource is made, and its phase is followed to the end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightkube.generic_resource import create_namespaced_resource

from tidelock.core.backups import BackupFault
from tidelock.errors import TidelockError, UsageFault
from tidelock.kube.client import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.kube.client import Cluster

KIND = "Backup"
KINDS[KIND] = create_namespaced_resource("postgresql.cnpg.io", "v1", KIND, "backups")
COMPLETED = "completed"
FAILED = ("failed", "invalid backup definition")
LOOK_S = 2.0
"""The API server is asked so often."""
NAME_LENGTH = 40


class NotBackedUp(BackupFault):
    """CloudNativePG made no backup."""

    code = "B012"

    def __init__(self, place: str, why: str, hint: str = "") -> None:
        super().__init__(
            f"CloudNativePG has made no backup, so nothing was run: {place}: {why}",
            hint=hint or "mend what it names (kubectl describe backup); `tidelock apply` starts again from here",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudNativePG:
    """The port BackupProvider: one PostgreSQL cluster of it, in the client's namespace."""

    kubernetes: Cluster
    cluster: str
    method: str = "barmanObjectStore"
    plugin: str = ""
    """Whose name goes with the method `plugin`."""
    wait_s: float = 3600.0

    def make(self, plan: str, tell: Callable[[str], None]) -> str:
        """Its name, `namespace/name`, when it is completed. Raises NotBackedUp, or a UsageFault of the client's."""
        wanted = self.wanted(plan)
        name = wanted["metadata"]["name"]
        place = f"{self.kubernetes.namespace}/{name}"
        try:
            self.kubernetes.create(wanted)
            self.follow(name, place, tell)
        except (BackupFault, UsageFault):
            raise
        except TidelockError as error:
            raise NotBackedUp(place, str(error), error.hint) from None
        finally:
            self.kubernetes.close()
        return place

    def wanted(self, plan: str) -> dict[str, Any]:
        """The resource."""
        plugin = {"pluginConfiguration": {"name": self.plugin}} if self.method == "plugin" else {}
        return {
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": KIND,
            "metadata": {
                "name": f"{self.cluster[:NAME_LENGTH].rstrip('.-')}-{plan}-{os.urandom(3).hex()}",
                "labels": {"app.kubernetes.io/managed-by": "tidelock"},
                "annotations": {"tidelock.dev/plan": plan},
            },
            "spec": {"cluster": {"name": self.cluster}, "method": self.method, **plugin},
        }

    def follow(self, name: str, place: str, tell: Callable[[str], None]) -> None:
        """Return when it is completed. Raises NotBackedUp when it fails, goes away or takes too long."""
        ends, told = time.monotonic() + self.wait_s, ""
        while True:
            found = self.kubernetes.get(KIND, name)
            if found is None:
                raise NotBackedUp(place, "somebody has deleted it")
            status = found.get("status") or {}
            phase = status.get("phase") or "not begun"
            if phase == COMPLETED:
                return
            if phase in FAILED:
                raise NotBackedUp(place, f"{phase}: {status.get('error') or 'it does not say why'}")
            if phase != told:
                tell(f"CloudNativePG backup {place}: {phase}")
                told = phase
            left_s = ends - time.monotonic()
            if left_s <= 0:
                raise NotBackedUp(
                    place,
                    f"{phase} after {self.wait_s:.0f} s",
                    f"look at it: kubectl -n {self.kubernetes.namespace} describe backup {name}. Without the operator "
                    "nobody begins; else it may still complete, and [backup] timeout lets it take longer",
                )
            time.sleep(min(LOOK_S, left_s))
