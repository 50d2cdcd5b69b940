"""What is delivered to a namespace: a bundle, the settings that go with it, and how they are to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import Bundle

if TYPE_CHECKING:
    from tidelock.core.workload import Workload

MANAGER = "tidelock"
"""Field manager, `managed-by` and name of the application."""
MANAGED_BY = "app.kubernetes.io/managed-by"
BUNDLE = "tidelock.dev/bundle"
"""Label of each ConfigMap of a bundle: the bundle's name. The operator selects by it."""
SETTINGS = "tidelock.dev/settings"
"""Label of the ConfigMap with tidelock.toml and fallbacks: the bundle's name."""
PATHS = "tidelock.dev/paths"
"""Key → path as JSON, of the files of a ConfigMap that are not mounted under their keys."""
PART = "tidelock.dev/part"
BUNDLE_DIGEST = "tidelock.dev/bundle-digest"
COMMIT = "tidelock.dev/commit"
DIGEST = "tidelock.dev/digest"
"""Label of Jobs: the beginning of the bundle's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One database's migrations on their way into one namespace."""

    workload: Workload
    """With names for all."""
    bundle: Bundle
    settings: Bundle = field(default_factory=lambda: Bundle({}))
    """tidelock.toml, reduced to what a run reads, and the fallback scripts."""
    commit: str = ""
    """Told by whoever knows it; it is in no digest, and no Job changes because of it."""
    tables: bool = False
    """There are critical tables with a fallback."""
    stores: bool = False
    """There is a store for backups."""
    sources: tuple[dict[str, Any], ...] = ()
    """The parts of the bundle's volume, where the ConfigMaps are there already; else they are those of `configmap`."""
    settings_name: str = ""
    """The ConfigMap with the settings, where it is there already."""
    token: bool = False
    """The migration Job asks Kubernetes for a backup (CloudNativePG), so that its pod needs a token."""
    backup_namespace: str = ""
    """Where it makes that backup; empty for its own namespace."""
    tolerant: bool = False
    """The Job ends with 0 also when critical tables stand on their fallback."""
    where: str = "."
    """The output directory, from the root of its repository."""
    beside: str = ""
    """The directory in which each database has an output directory of its name; empty where one was named."""
    database: str = ""
    """The `[databases.NAME]` that it is; empty for the only one."""

    @property
    def config_map(self) -> str:
        """The name of the bundle's (first) ConfigMap."""
        return f"{self.workload.bundle}-{self.bundle.short[:10]}" if self.workload.immutable else self.workload.bundle

    @property
    def settings_map(self) -> str:
        """The name of the ConfigMap with the settings."""
        if self.settings_name:
            return self.settings_name
        name = f"{self.workload.bundle}-settings"
        return f"{name}-{self.settings.short[:10]}" if self.workload.immutable else name

    def labels(self, component: str) -> dict[str, str]:
        """What every object carries."""
        return {
            **self.workload.labels,
            "app.kubernetes.io/name": MANAGER,
            "app.kubernetes.io/instance": self.workload.job,
            "app.kubernetes.io/component": component,
            MANAGED_BY: MANAGER,
        }

    def selector(self, component: str) -> dict[str, str]:
        """The labels by which pods of a component are found."""
        return {
            "app.kubernetes.io/name": MANAGER,
            "app.kubernetes.io/instance": self.workload.job,
            "app.kubernetes.io/component": component,
        }

    def metadata(
        self,
        name: str,
        component: str,
        *,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """An object's metadata; no namespace where none is named."""
        found: dict[str, Any] = {"name": name}
        if self.workload.namespace:
            found["namespace"] = self.workload.namespace
        found["labels"] = {**self.labels(component), **(labels or {})}
        if annotations:
            found["annotations"] = annotations
        return found

    def digests(self) -> dict[str, str]:
        """The annotations that say what this is of."""
        return {BUNDLE_DIGEST: self.bundle.digest, **({COMMIT: self.commit} if self.commit else {})}
