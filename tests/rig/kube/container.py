"""One container: a process in mount and PID namespaces of its own, over the host's root.

It sees the host's programs, writes nothing to the host, has its volumes where it wants them and is process 1. Root
makes the namespaces; without root, a user namespace does where the system allows one.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import psutil

from tests.rig.kube.api import precise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import IO

NEW_ROOT = "/run/tidelock-rig"
"""A mount point on the new namespace's own tmpfs."""
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child=KILL")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
OVERLAY = """\
mkdir -p {root} /run/upper /run/work
over() {{ mount -t overlay rig -o "lowerdir=$1,upperdir=/run/upper$1,workdir=/run/work$1" "{root}$1" 2>/dev/null; }}
layers={root}
# In a user namespace the root has mounts below it that may not be left out: there each folder gets one of its own.
if ! over /; then
  mount -t tmpfs rig {root}
  mkdir -p {root}/dev {root}/proc {root}/sys {root}/tmp {root}/run
  for each in /*; do
    [ ! -e "{root}$each" ] || continue
    if [ -L "$each" ]; then cp -P "$each" "{root}$each"
    elif [ -d "$each" ]; then
      mkdir -p "{root}$each" "/run/upper$each" "/run/work$each"
      over "$each" || mount --rbind "$each" "{root}$each"
      layers="$layers {root}$each"
    fi
  done
fi"""
LAST_WORDS_BYTES = 4096
FALLBACK_BYTES = 2048
"""Of the log, when the container wrote no message and wants the log instead."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host, at a path in the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a container is made of."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    folder: str
    mounts: Sequence[Mount]
    hidden: Sequence[Path]
    """Folders of the host that it does not see."""
    shared: Sequence[Path]
    """Folders of the host that it sees although they lie where others are hidden."""
    message: Path
    """The file that it finds at `message_path`."""
    message_path: str
    read_only_root: bool
    log: Path


def namespaces() -> list[str]:
    """The command that opens the namespaces here."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, *NAMESPACES]


@cache
def possible() -> bool:
    """Whether this machine lets us open them."""
    script = "\n".join(["set -e", *_root_lines(()), "true"])
    return subprocess.run([*namespaces(), "sh", "-c", script], capture_output=True, check=False).returncode == 0


def _root_lines(hidden: Sequence[Path]) -> list[str]:
    """Shell lines that make the new root: an overlay in memory over the host's, with its own /dev, /proc and /tmp."""
    root = NEW_ROOT
    return [
        "mount --make-rprivate /",
        "mount -t tmpfs rig /run",
        OVERLAY.format(root=root),
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /sys {root}/sys",
        f"mount -t tmpfs -o mode=1777 rig {root}/tmp",
        f"mount -t tmpfs -o mode=755 rig {root}/dev",
        *(f"touch {root}/dev/{name}; mount --bind /dev/{name} {root}/dev/{name}" for name in DEVICES),
        f"ln -s /proc/self/fd {root}/dev/fd; mkdir -m 1777 {root}/dev/shm",
        *(f"ln -s fd/{number} {root}/dev/{name}" for number, name in enumerate(("stdin", "stdout", "stderr"))),
        *(
            f"[ ! -d {each} ] || mount -t tmpfs rig {each}"
            for each in (shlex.quote(f"{root}{path}") for path in hidden)
        ),
    ]


def _script(setup: Setup) -> str:
    lines = ["set -e", *_root_lines(setup.hidden)]
    lines += [_bound(each) for each in setup.mounts]
    lines += [_bound(Mount(each, str(each), read_only=True)) for each in setup.shared]
    lines.append(_bound(Mount(setup.message, setup.message_path, read_only=False)))
    folder = shlex.quote(setup.folder)
    lines.append(f"mkdir -p {NEW_ROOT}{folder}")
    if setup.read_only_root:
        own_tmp = "" if any(each.target == "/tmp" for each in setup.mounts) else f"{NEW_ROOT}/tmp"
        lines.append(f'for each in $layers {own_tmp}; do mount -o remount,bind,ro "$each"; done')
    lines.append(f'exec chroot {NEW_ROOT} env -C {folder} "$@"')
    return "\n".join(lines)


def _bound(mount: Mount) -> str:
    source, inside = shlex.quote(str(mount.source)), shlex.quote(mount.target)
    # /var/run is a link: it is resolved inside the new root
    line = (
        f"t={NEW_ROOT}$(chroot {NEW_ROOT} readlink -m {inside}); "
        f'if [ -d {source} ]; then mkdir -p "$t"; else mkdir -p "$(dirname "$t")"; touch "$t"; fi; '
        f'mount --bind {source} "$t"'
    )
    return f'{line}; mount -o remount,bind,ro "$t"' if mount.read_only else line


class Container:
    """A running container. Its log holds its lines, each with its time."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        setup.message.write_bytes(b"")
        # It dies with the thread that starts it, as on a machine that loses its power.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *namespaces(), "sh", "-c", _script(setup), "sh", *setup.arguments],
            env=dict(setup.env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._log = setup.log.open("ab", buffering=0)
        streams = (self._process.stdout, self._process.stderr)
        self._readers = [threading.Thread(target=self._read, args=(each,), daemon=True) for each in streams if each]
        for each in self._readers:
            each.start()

    @property
    def id(self) -> str:
        """As in the pod's status."""
        return f"process://{self._process.pid}"

    def ended(self) -> bool:
        """Whether it has; its log is complete then."""
        if self._process.poll() is None:
            return False
        for each in self._readers:
            each.join(2)
        return True

    @property
    def exit_code(self) -> int:
        """As a shell says it: 128 and the number, after a signal."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to its process 1, as a runtime does it."""
        try:
            for each in psutil.Process(self._process.pid).children():
                each.send_signal(signal.SIGTERM)
        except psutil.NoSuchProcess:
            return

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._process.kill()

    def last_words(self, *, log_instead: bool) -> str:
        """What it wrote to its termination log, as far as it is kept; on failure the end of its log, when wanted."""
        words = self.setup.message.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace")
        if words or not log_instead or self.exit_code == 0:
            return words
        lines = self.setup.log.read_bytes().splitlines(keepends=True)[-80:]
        return b"".join(line.partition(b" ")[2] for line in lines)[-FALLBACK_BYTES:].decode(errors="replace")

    def _read(self, stream: IO[bytes]) -> None:
        for line in iter(stream.readline, b""):
            self._log.write(precise().encode() + b" " + (line if line.endswith(b"\n") else line + b"\n"))
