"""The volumes of a pod as folders on the host, changed while the pod runs as the kubelet changes them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lightkube.models.authentication_v1 import BoundObjectReference, TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Secret, ServiceAccountToken

from tests.rig.kube.api import patiently
from tests.rig.kube.environment import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightkube.models.core_v1 import (
        ConfigMapProjection,
        ConfigMapVolumeSource,
        DownwardAPIVolumeFile,
        KeyToPath,
        SecretProjection,
        SecretVolumeSource,
        ServiceAccountTokenProjection,
        Volume,
        VolumeProjection,
    )

    from tests.rig.kube.environment import Objects

    Reference: TypeAlias = ConfigMapProjection | ConfigMapVolumeSource | SecretProjection | SecretVolumeSource
DATA = "..data"
_numbers = itertools.count(1)


class Volumes:
    """Every volume of one pod, below `folder`."""

    def __init__(self, volumes: Sequence[Volume], objects: Objects, folder: Path) -> None:
        self.volumes = {each.name: each for each in volumes}
        self.objects = objects
        self.folder = folder
        self._written: dict[str, dict[str, bytes]] = {}
        self._tokens: dict[str, bytes] = {}

    def set_up(self) -> None:
        """Make every folder. Raises ConfigError, which names the volume."""
        for volume in self.volumes.values():
            if volume.hostPath is not None:
                continue
            (self.folder / volume.name).mkdir(parents=True, exist_ok=True)
            if volume.emptyDir is None:
                try:
                    self._write(volume)
                except ConfigError as error:
                    raise ConfigError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error

    def sync(self) -> None:
        """Bring what has changed since. What is gone meanwhile stays as it was."""
        for volume in self.volumes.values():
            if volume.hostPath is None and volume.emptyDir is None:
                try:
                    self._write(volume)
                except ConfigError:
                    continue

    def path(self, name: str) -> Path:
        """Where a volume's content lies."""
        volume = self.volumes[name]
        return Path(volume.hostPath.path) if volume.hostPath else self.folder / name

    def _write(self, volume: Volume) -> None:
        content = self._content(volume)
        if self._written.get(volume.name) != content:
            write(self.folder / volume.name, content)
            self._written[volume.name] = content

    def _content(self, volume: Volume) -> dict[str, bytes]:
        if volume.configMap:
            return self._held(ConfigMap, volume.configMap.name or "", volume.configMap)
        if volume.secret:
            return self._held(Secret, volume.secret.secretName or "", volume.secret)
        if volume.downwardAPI:
            return self._fields(volume.downwardAPI.items or [])
        if volume.projected:
            content: dict[str, bytes] = {}
            for source in volume.projected.sources or []:
                content |= self._projected(source)
            return content
        raise ConfigError("this node has no volumes of that kind")

    def _projected(self, source: VolumeProjection) -> dict[str, bytes]:
        if source.configMap:
            return self._held(ConfigMap, source.configMap.name or "", source.configMap)
        if source.secret:
            return self._held(Secret, source.secret.name or "", source.secret)
        if source.serviceAccountToken:
            return {source.serviceAccountToken.path: self._token(source.serviceAccountToken)}
        if source.downwardAPI:
            return self._fields(source.downwardAPI.items or [])
        raise ConfigError("this node has no projected sources of that kind")

    def _held(self, kind: type[ConfigMap | Secret], name: str, ref: Reference) -> dict[str, bytes]:
        held = self.objects.content(kind, name, optional=bool(ref.optional)) or {}
        items: Sequence[KeyToPath] | None = ref.items
        if not items:
            return held
        for item in items:
            if item.key not in held and not ref.optional:
                raise ConfigError(f"references non-existent {kind.__name__.lower()} key: {item.key}")
        return {item.path: held[item.key] for item in items if item.key in held}

    def _fields(self, items: Sequence[DownwardAPIVolumeFile]) -> dict[str, bytes]:
        return {
            each.path: self.objects.field(each.fieldRef.fieldPath).encode()
            for each in items
            if each.fieldRef is not None
        }

    def _token(self, asked: ServiceAccountTokenProjection) -> bytes:
        """A token that is bound to the pod; asked for once, for a test is over before it ends."""
        if asked.path not in self._tokens:
            meta, spec = self.objects.pod.metadata, self.objects.pod.spec
            assert meta is not None
            assert spec is not None
            bound = BoundObjectReference(apiVersion="v1", kind="Pod", name=meta.name, uid=meta.uid)
            audiences = [asked.audience] if asked.audience else []
            wanted = TokenRequestSpec(
                audiences=audiences, boundObjectRef=bound, expirationSeconds=asked.expirationSeconds
            )
            account = spec.serviceAccountName or "default"
            client, namespace = self.objects.client, self.objects.namespace
            request = ServiceAccountToken(metadata=ObjectMeta(), spec=wanted)
            made = patiently(lambda: client.create(request, account, namespace=namespace))
            assert made.status is not None
            self._tokens[asked.path] = str(made.status.token).encode()
        return self._tokens[asked.path]


def write(folder: Path, content: dict[str, bytes]) -> None:
    """Put files into a volume in one stroke, as the kubelet does.

    `..data` is a link to a folder with the files, and each name is a link through `..data`; a change makes a new
    folder and renames a new link over the old one, so that nobody sees half of it.
    """
    new = folder / f"..{next(_numbers):08d}"
    for name, data in content.items():
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    new.mkdir(exist_ok=True)
    link = folder / DATA
    old = folder / link.readlink() if link.is_symlink() else None
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(link)
    tops = {name.partition("/")[0] for name in content}
    for name in tops:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in tops:
            path.unlink()
    if old is not None:
        shutil.rmtree(old)
