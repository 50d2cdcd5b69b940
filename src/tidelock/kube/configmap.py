"""A bundle as ConfigMaps."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import parts
from tidelock.kube.delivery import BUNDLE, PART, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.bundle import Bundle, Entry, Part
    from tidelock.kube.delivery import Delivery

COMMIT_KEY = "commit"


def bundle_maps(delivery: Delivery) -> list[dict[str, Any]]:
    """The ConfigMaps of the migrations: one under the bundle's name, or several."""
    return [bundle_map(delivery, each) for each in parts(delivery.bundle)]


def bundle_map(delivery: Delivery, part: Part) -> dict[str, Any]:
    """One of them."""
    several = {PART: f"{part.number}/{part.count}"} if part.count > 1 else {}
    return config_map(
        delivery.metadata(
            part.name(delivery.config_map),
            "bundle",
            labels={BUNDLE: delivery.workload.bundle},
            annotations={**delivery.digests(), **several},
        ),
        part.entries,
        immutable=delivery.workload.immutable,
    )


def settings_map(delivery: Delivery) -> list[dict[str, Any]]:
    """The ConfigMap with tidelock.toml and fallbacks, when there are any; it also bears the commit."""
    if not delivery.settings.files and not delivery.commit:
        return []
    (part,) = parts(delivery.settings)
    metadata = delivery.metadata(delivery.settings_map, "settings", labels={SETTINGS: delivery.workload.bundle})
    found = config_map(metadata, part.entries)
    if delivery.commit:
        found["data"] = {COMMIT_KEY: delivery.commit, **found.get("data", {})}
    return [found]


def config_map(metadata: dict[str, Any], entries: Sequence[Entry], *, immutable: bool = False) -> dict[str, Any]:
    """A ConfigMap; what is not text stands in binaryData."""
    texts = {each.key: each.text for each in entries if each.text is not None}
    binary = {each.key: b64encode(each.data).decode() for each in entries if each.text is None}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        **({"immutable": True} if immutable else {}),
        **({"data": texts} if texts else {}),
        **({"binaryData": binary} if binary else {}),
    }


def volume(name: str, config_map_name: str, bundle: Bundle) -> dict[str, Any]:
    """The volume in which a bundle's files lie under their own names."""
    found = parts(bundle)
    if len(found) == 1 and found[0].plain:
        return {"name": name, "configMap": {"name": config_map_name}}
    return {"name": name, "projected": {"sources": [source(each, config_map_name) for each in found]}}


def source(part: Part, config_map_name: str) -> dict[str, Any]:
    """One part of a projected volume; where a name could not be a key, the way back to it."""
    return {"configMap": {"name": part.name(config_map_name), **({} if part.plain else {"items": items(part)})}}


def items(part: Part) -> list[dict[str, str]]:
    """Which key is mounted where."""
    return [{"key": each.key, "path": each.path} for each in part.entries]


def settings_volume(name: str, delivery: Delivery) -> dict[str, Any]:
    """The volume with the settings, and nothing else of their ConfigMap."""
    (part,) = parts(delivery.settings)
    return {"name": name, "configMap": {"name": delivery.settings_map, "items": items(part)}}
