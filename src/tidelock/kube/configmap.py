"""A bundle as ConfigMaps."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import Part, keys, parts
from tidelock.errors import ClusterFault
from tidelock.kube.delivery import BUNDLE, PART, PATHS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.bundle import Bundle, Entry
    from tidelock.kube.delivery import Delivery

COMMIT_KEY = "commit"
PATHS_BYTES = 200 << 10
"""Of the annotation that says where files are mounted. Kubernetes allows 256 KiB of all annotations of an object."""
ITEMS_BYTES = 1 << 20
"""Of the list in the Job that says the same; etcd takes an object of 1.5 MiB."""


class ManyPaths(ClusterFault):
    """The Job would not hold the list of files that are not mounted under their keys."""

    code = "K006"

    def __init__(self, files: int, size_bytes: int) -> None:
        super().__init__(
            f"{files:,} files are listed in the Job, because they lie in folders or beside such; that takes "
            f"{size_bytes:,} bytes, and there is room for {ITEMS_BYTES:,}",
            hint="include fewer files, or put the migrations into an image (`COPY migrations /migrations`)",
        )


def bundle_maps(delivery: Delivery) -> list[dict[str, Any]]:
    """The ConfigMaps of the migrations: one under the bundle's name, or several."""
    return [bundle_map(delivery, each) for each in shares(delivery.bundle)]


def shares(bundle: Bundle) -> tuple[Part, ...]:
    """The parts of a bundle, shared out further where the paths of one would not fit its annotations.

    Raises ManyPaths.
    """
    found: list[Sequence[Entry]] = []
    for part in parts(bundle):
        filled = 0

        def share(each: Entry) -> int:
            nonlocal filled
            filled += 0 if each.key == each.path else len(written({each.key: each.path}).encode())
            return filled // PATHS_BYTES

        found += [tuple(each) for _, each in groupby(part.entries, share)]
    shared = tuple(Part(number=number, count=len(found), entries=tuple(each)) for number, each in enumerate(found, 1))
    listed = [entry for part in shared if not part.plain for entry in part.entries]
    if (size := len(written(items({each.key: each.path for each in listed})).encode())) > ITEMS_BYTES:
        raise ManyPaths(len(listed), size)
    return shared


def written(value: Any) -> str:
    """As JSON."""
    return json.dumps(value, ensure_ascii=False)


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
    """The annotation that says where those files are mounted whose keys do not say it."""
    odd = {each.key: each.path for each in part.entries if each.key != each.path}
    return {PATHS: written(odd)} if odd else {}


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
    sources = delivery.sources or tuple(source(delivery, each) for each in shares(delivery.bundle))
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
