"""The environment and the arguments of a container, as the kubelet makes them."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lightkube.resources.core_v1 import ConfigMap, Secret

from tests.rig.kube.api import found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightkube import Client
    from lightkube.models.core_v1 import Container, EnvVar
    from lightkube.resources.core_v1 import Pod

    from tests.rig.kube.settings import Image

REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
OF_MAP = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(Exception):
    """A container that cannot be made: what it refers to is not there. The message is the kubelet's."""


class Objects:
    """The ConfigMaps and Secrets that a pod refers to."""

    def __init__(self, client: Client, pod: Pod, address: str) -> None:
        assert pod.metadata is not None
        assert pod.spec is not None
        self.client = client
        self.pod = pod
        self.namespace = pod.metadata.namespace or "default"
        self.address = address

    def content(self, kind: type[ConfigMap | Secret], name: str, *, optional: bool = False) -> dict[str, bytes] | None:
        """What a ConfigMap or a Secret holds. None when it is not there and need not be; else raises ConfigError."""
        held = found(lambda: self.client.get(kind, name, namespace=self.namespace))
        if held is None:
            if optional:
                return None
            raise ConfigError(f'{kind.__name__.lower()} "{name}" not found')
        data = held.data or {}
        if isinstance(held, ConfigMap):
            texts = {key: value.encode() for key, value in data.items()}
            return texts | {key: base64.b64decode(value) for key, value in (held.binaryData or {}).items()}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def field(self, path: str) -> str:
        """A field of the pod itself (the downward API)."""
        meta, spec = self.pod.metadata, self.pod.spec
        assert meta is not None
        assert spec is not None
        maps = {"labels": meta.labels or {}, "annotations": meta.annotations or {}}
        if one := OF_MAP.match(path):
            return str(maps[one[1]].get(one[2], ""))
        if path.removeprefix("metadata.") in maps:
            return "\n".join(f'{key}="{value}"' for key, value in maps[path.removeprefix("metadata.")].items())
        fields = {
            "metadata.name": meta.name,
            "metadata.namespace": meta.namespace,
            "metadata.uid": meta.uid,
            "spec.nodeName": spec.nodeName,
            "spec.serviceAccountName": spec.serviceAccountName,
            "status.podIP": self.address,
            "status.hostIP": self.address,
        }
        return str(fields.get(path) or "")

    def environment(self, container: Container, image: Image) -> dict[str, str]:
        """All variables of a container. Raises ConfigError."""
        server = urlsplit(self.client.config.cluster.server)
        assert self.pod.metadata is not None
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/",
            "HOSTNAME": self.pod.metadata.name or "",
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            **dict(image.env),
        }
        for source in container.envFrom or []:
            kind, ref = (Secret, source.secretRef) if source.secretRef else (ConfigMap, source.configMapRef)
            assert ref is not None
            held = self.content(kind, ref.name or "", optional=bool(ref.optional)) or {}
            env |= {f"{source.prefix or ''}{key}": value.decode() for key, value in held.items()}
        for variable in container.env or []:
            value = self._value(variable, env)
            if value is not None:
                env[variable.name] = value
        return env

    def _value(self, variable: EnvVar, env: Mapping[str, str]) -> str | None:
        source = variable.valueFrom
        if source is None:
            return expand(variable.value or "", env)
        if source.fieldRef:
            return self.field(source.fieldRef.fieldPath)
        kind, ref = (Secret, source.secretKeyRef) if source.secretKeyRef else (ConfigMap, source.configMapKeyRef)
        if ref is None:
            raise ConfigError(f"{variable.name}: this node knows fieldRef, secretKeyRef and configMapKeyRef only")
        held = self.content(kind, ref.name or "", optional=bool(ref.optional))
        if held is not None and ref.key in held:
            return held[ref.key].decode()
        if ref.optional:
            return None
        raise ConfigError(f"couldn't find key {ref.key} in {kind.__name__} {self.namespace}/{ref.name}")


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` replaced, `$$` made `$`; a name that is not known stays as it is."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else env.get(match[1], match[0])

    return REFERENCE.sub(value, text)
