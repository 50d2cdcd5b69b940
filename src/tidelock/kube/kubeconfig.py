"""Which cluster is meant: --kubeconfig, KUBECONFIG (several files joined, as kubectl does), ~/.kube/config, or the one
that we run in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from tidelock.kube.faults import NoContext

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

USUAL = Path("~/.kube/config")
PATHS = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}
LISTS = ("clusters", "users", "contexts")
EXEC = "client.authentication.k8s.io/"
EXEC_INFO = '{{"apiVersion": "{version}", "kind": "ExecCredential", "spec": {{"interactive": false}}}}'


def configuration(kubeconfig: Path | None, context: str | None) -> SingleConfig:
    """The context that is meant. Raises NoContext."""
    files = [kubeconfig] if kubeconfig else _from_environment()
    if not files:
        return _in_cluster(context)
    where = os.pathsep.join(map(str, files))
    data = joined(files)
    try:
        chosen = KubeConfig.from_dict(data, fname=files[0]).get(context)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        names = ", ".join(sorted(each["name"] for each in data["contexts"])) or "none"
        wanted = f"context {context or data.get('current-context') or 'missing'!r}"
        raise NoContext(where, f"{wanted} cannot be used: {error}", f"contexts there: {names}") from None
    assert chosen is not None
    refuse_address(chosen)
    return chosen


def refuse_address(chosen: SingleConfig) -> None:
    """Raise NoContext for a server that is no URL: it would be looked up as a name, and waited for."""
    server = chosen.cluster.server
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(each.isspace() for each in server):
        raise NoContext(
            f"context {chosen.context_name}",
            f"its server “{server}” is no address",
            "write server: https://HOST:PORT into that cluster of the kubeconfig",
        )


def _from_environment() -> list[Path]:
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    usual = USUAL.expanduser()
    return named or ([usual] if usual.is_file() else [])


def _in_cluster(context: str | None) -> SingleConfig:
    try:
        found = KubeConfig.from_service_account().get(context)
    except (ConfigError, KeyError):
        raise NoContext(
            "no cluster is named",
            "KUBECONFIG is not set, there is no ~/.kube/config, and this is no pod with a ServiceAccount's token",
            "name a kubeconfig with --kubeconfig, or set KUBECONFIG",
        ) from None
    assert found is not None
    return found


def joined(files: list[Path]) -> dict[str, Any]:
    """All files as one: the first that says something counts. Raises NoContext for one that cannot be read."""
    whole: dict[str, Any] = {name: [] for name in LISTS}
    for path in files:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            for name in LISTS:
                known = {each["name"] for each in whole[name]}
                whole[name] += [_absolute(each, path) for each in data.get(name) or [] if each["name"] not in known]
        except OSError as error:
            raise NoContext(
                str(path), error.strerror or "cannot be read", "check --kubeconfig and KUBECONFIG"
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            raise NoContext(str(path), "this is no kubeconfig", "check --kubeconfig and KUBECONFIG") from None
        if "current-context" not in whole and data.get("current-context"):
            whole["current-context"] = data["current-context"]
    return whole


def _absolute(entry: dict[str, Any], path: Path) -> dict[str, Any]:
    """Its files as seen from the kubeconfig that it stands in, and its program in a version that lightkube speaks."""
    found: dict[str, Any] = {}
    for key, value in entry.items():
        held = dict(value) if isinstance(value, dict) else value
        if isinstance(held, dict):
            for name in PATHS & held.keys():
                held[name] = str(path.parent / held[name])
            if held.get("exec", {}).get("apiVersion") == f"{EXEC}v1":
                held["exec"] = _older(held["exec"])
        found[key] = held
    return found


def _older(program: dict[str, Any]) -> dict[str, Any]:
    # lightkube knows v1beta1, which asks and answers as v1 does; the program itself is told v1, which it may insist on
    info = {"name": "KUBERNETES_EXEC_INFO", "value": EXEC_INFO.format(version=program["apiVersion"])}
    return {**program, "apiVersion": f"{EXEC}v1beta1", "env": [*(program.get("env") or []), info]}
