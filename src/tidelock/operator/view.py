"""What the watches have told, reduced to what decisions need: digests, not files; Jobs without their pods."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelock.core.bundle import Bundle
from tidelock.core.rollout import COMPLETE, FAILED
from tidelock.errors import TidelockError
from tidelock.kube.configmap import COMMIT_KEY, items
from tidelock.kube.delivery import BUNDLE, BUNDLE_DIGEST, PART, PATHS, SETTINGS
from tidelock.operator.resource import place

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    Object = dict[str, Any]
    Key = tuple[str, str]
    """Namespace and name."""

TARGET = "tidelock.dev/target"
"""Label of Jobs: the target that they are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A ConfigMap of a bundle, or of its settings."""

    name: str
    bundle: str
    hashes: dict[str, str]
    """Path → SHA-256 (hex) of the content."""
    mounted: dict[str, str]
    """Key → path, of all of them where one is not its key; empty when each is."""
    part: int = 1
    count: int = 1
    """0 when its annotations cannot be read: such a bundle is never whole."""
    digest: str = ""
    """What its annotation says of the whole bundle."""

    @property
    def source(self) -> Object:
        """Its part of a volume."""
        return {"name": self.name, **({"items": items(self.mounted)} if self.mounted else {})}


def read_map(found: Object, label: str) -> Map:
    """A ConfigMap as the API has it."""
    metadata = found["metadata"]
    annotations = metadata.get("annotations") or {}
    number, count = part_of(annotations.get(PART, "1/1"))
    paths = paths_of(annotations.get(PATHS, "{}"))
    contents = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    contents |= {key: b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    if label == SETTINGS:
        contents.pop(COMMIT_KEY, None)
    mounted = {key: paths.get(key, key) for key in sorted(contents)} if paths else {}
    return Map(
        name=metadata["name"],
        bundle=metadata["labels"][label],
        hashes={mounted.get(key, key): hashlib.sha256(data).hexdigest() for key, data in contents.items()},
        mounted=mounted,
        part=number,
        count=0 if paths is None else count,
        digest=annotations.get(BUNDLE_DIGEST, ""),
    )


def part_of(text: str) -> tuple[int, int]:
    """`2/3` as numbers; of how many, 0 for what somebody has written otherwise."""
    number, slash, count = text.partition("/")
    return (int(number), int(count)) if slash and number.isdecimal() and count.isdecimal() else (1, 0)


def paths_of(text: str) -> dict[str, str] | None:
    """Key → path; None for what cannot be read."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A bundle as it is in the cluster now."""

    bundle: Bundle
    sources: tuple[Object, ...]
    whole: bool


def content(parts: Sequence[Map]) -> Content:
    """What ConfigMaps of one bundle come to.

    One alone is taken as it is, whatever its annotation says: somebody may have edited it. Several are whole when all
    are there and their contents have the digest that each of them names. What the first does not count among its own
    is left over from a larger bundle.
    """
    heads = [each for each in parts if each.part == 1]
    if len(heads) == 1:
        (head,) = heads
        parts = [each for each in parts if each is head or (each.digest, each.count) == (head.digest, head.count)]
    ordered = sorted(parts, key=lambda each: each.part)
    bundle = Bundle({}, {path: digest for each in ordered for path, digest in each.hashes.items()})
    alone = len(ordered) == 1 and ordered[0].count == 1
    agreed = {each.digest for each in ordered} == {bundle.digest} and {each.count for each in ordered} == {len(ordered)}
    return Content(bundle=bundle, sources=tuple(each.source for each in ordered), whole=alone or agreed)


def slim(job: Object) -> Object:
    """Of a Job what decisions need."""
    metadata = job["metadata"]
    kept = (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "labels",
        "annotations",
        "creationTimestamp",
        "deletionTimestamp",
    )
    return {"metadata": {name: metadata[name] for name in kept if name in metadata}, "status": job.get("status") or {}}


@dataclass
class View:
    """The cluster, as far as it concerns the operator. One thread uses it."""

    targets: dict[Key, Object] = field(default_factory=dict)
    bundles: dict[Key, Map] = field(default_factory=dict)
    settings: dict[Key, Map] = field(default_factory=dict)
    jobs: dict[Key, Object] = field(default_factory=dict)

    def replace(self, kind: str, objects: Sequence[Object], version: int = 0) -> None:
        """All of a kind, as a list of that version has it.

        A Job that is newer than the list was made while it was on its way: without it another would be started.
        """
        held = self._held(kind)
        newer = {key: each for key, each in held.items() if kind == "jobs" and age(each) > version}
        held.clear()
        held.update(newer)
        for each in objects:
            self.put(kind, each)

    def put(self, kind: str, found: Object, *, gone: bool = False) -> list[Key]:
        """Take an object in, or out; returns the targets that it concerns."""
        key = key_of(found)
        held = self._held(kind)
        late = kind == "jobs" and key in held and age(found) < age(held[key])
        if gone and not late:
            held.pop(key, None)
        elif not gone and not late:
            held[key] = reduced(kind, found)
        return list(self.concerned(kind, found))

    def _held(self, kind: str) -> dict[Key, Any]:
        held: dict[str, dict[Key, Any]] = {
            "targets": self.targets, BUNDLE: self.bundles, SETTINGS: self.settings, "jobs": self.jobs
        }  # fmt: skip
        return held[kind]

    def concerned(self, kind: str, found: Object) -> Iterator[Key]:
        """The targets that have to do with an object."""
        namespace, name = key_of(found)
        labels = found["metadata"].get("labels") or {}
        if kind == "targets":
            yield namespace, name
        elif kind == "jobs":
            target = namespace, labels.get(TARGET, "")
            yield target
            yield from self.beside(target)
        else:
            bundle = labels.get(kind, "")
            yield from (
                key for key, each in self.targets.items() if key[0] == namespace and each["spec"]["bundle"] == bundle
            )

    def content(self, target: Object) -> Content | None:
        """The bundle that a target is for; None when there is none."""
        found = self._maps(self.bundles, target)
        return content(found) if found else None

    def settings_of(self, target: Object) -> Map | None:
        """The settings that go with it: one ConfigMap, the last by name when there are several."""
        return max(self._maps(self.settings, target), key=lambda each: each.name, default=None)

    def settled(self, target: Object) -> bool:
        """There is no doubt about which settings are meant."""
        return len(self._maps(self.settings, target)) <= 1

    def _maps(self, held: dict[Key, Map], target: Object) -> list[Map]:
        namespace, bundle = target["metadata"]["namespace"], target["spec"]["bundle"]
        return [each for key, each in held.items() if key[0] == namespace and each.bundle == bundle]

    def jobs_of(self, key: Key) -> list[Object]:
        """The Jobs of a target."""
        return [
            each
            for (namespace, _), each in self.jobs.items()
            if namespace == key[0] and (each["metadata"].get("labels") or {}).get(TARGET) == key[1]
        ]

    def beside(self, key: Key) -> list[Key]:
        """Other targets for the same database."""
        if key not in self.targets:
            return []
        its = places(self.targets[key])
        return [other for other, each in self.targets.items() if other != key and places(each) == its]

    def at_work(self, key: Key) -> Key | None:
        """A Job that goes on for another target of the same database."""
        return next(
            (key_of(job) for other in self.beside(key) for job in self.jobs_of(other) if goes_on(job)),
            None,
        )


def places(target: Object) -> Hashable:
    """Where the target's database is; of one that cannot be read, that it is its own."""
    try:
        return place(target)
    except TidelockError:
        return key_of(target)


def goes_on(job: Object) -> bool:
    """It has not ended, or its pods are not gone yet."""
    met = {each["type"] for each in job["status"].get("conditions") or [] if each["status"] == "True"}
    return "deletionTimestamp" in job["metadata"] or not met & {COMPLETE, FAILED}


def key_of(found: Object) -> Key:
    """Namespace and name of an object."""
    return found["metadata"]["namespace"], found["metadata"]["name"]


def age(found: Object) -> int:
    """Grows with each change of an object: what we have written must not be undone by a watch that lags behind."""
    return int(found["metadata"].get("resourceVersion", 0))


def reduced(kind: str, found: Object) -> Any:
    """What is kept of an object."""
    if kind in (BUNDLE, SETTINGS):
        return read_map(found, kind)
    return slim(found) if kind == "jobs" else found
