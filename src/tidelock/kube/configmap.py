"""A bundle as ConfigMaps."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import keys, parts
from tidelock.kube.delivery import BUNDLE, PART, PATHS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.bundle import Entry, Part
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
            annotations={**delivery.digests(), **several, **paths(part)},
        ),
        part.entries,
        immutable=delivery.workload.immutable,
    )


def settings_map(delivery: Delivery) -> list[dict[str, Any]]:
    """The ConfigMap with tidelock.toml and fallbacks, when there are any; it also bears the commit."""
    if not delivery.settings.files and not delivery.commit:
        return []
    (part,) = parts(delivery.settings)  # `delivering` has refused more
    metadata = delivery.metadata(
        delivery.settings_map, "settings", labels={SETTINGS: delivery.workload.bundle}, annotations=paths(part)
    )
    found = config_map(metadata, part.entries)
    if delivery.commit:
        found["data"] = {COMMIT_KEY: delivery.commit, **found.get("data", {})}
    return [found]


def paths(part: Part) -> dict[str, str]:
    """The annotation that says where files are mounted, when that is not what their keys say."""
    return {} if part.plain else {PATHS: json.dumps({each.key: each.path for each in part.entries}, ensure_ascii=False)}


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


def bundle_volume(name: str, delivery: Delivery) -> dict[str, Any]:
    """The volume in which the bundle's files lie under their own names."""
    sources = delivery.sources or tuple(source(delivery, each) for each in parts(delivery.bundle))
    if len(sources) == 1:
        return {"name": name, "configMap": sources[0]}
    return {"name": name, "projected": {"sources": [{"configMap": each} for each in sources]}}


def source(delivery: Delivery, part: Part) -> dict[str, Any]:
    """One part of the volume; where a name could not be a key, the way back to it."""
    named = {} if part.plain else {"items": items({each.key: each.path for each in part.entries})}
    return {"name": part.name(delivery.config_map), **named}


def items(mounted: Mapping[str, str]) -> list[dict[str, str]]:
    """Which key is mounted where."""
    return [{"key": key, "path": path} for key, path in mounted.items()]


def settings_volume(name: str, delivery: Delivery) -> dict[str, Any]:
    """The volume with the settings, and nothing else of their ConfigMap."""
    key_of = keys(delivery.settings.names)
    listed = {key_of[path]: path for path in delivery.settings.names}
    return {"name": name, "configMap": {"name": delivery.settings_map, "items": items(listed)}}
