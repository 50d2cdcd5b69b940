"""The Job's side of a bundle: what is mounted has to be what is meant, and a mount may lag behind."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.app.patience import Patience, backoff
from tidelock.core.bundle import Bundle
from tidelock.core.report import Event, Happening
from tidelock.errors import PassingFault, SourceFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidelock.app.ports import Sink

SETTLED_S = 120.0
"""A mount that is wrong for so long stays wrong: a kubelet looks once a minute, at ConfigMaps of up to a minute ago."""


class WrongBundle(SourceFault):
    """What is mounted is another bundle than the one that is meant, and does not change."""

    code = "S060"

    def __init__(self, where: str, wanted: str, found: str, files: int, waited_s: float) -> None:
        super().__init__(
            f"{another(where, wanted, found, files, waited_s)}, and nothing changed",
            hint="deploy ConfigMaps and Job together (`tidelock kube deploy`, `helm upgrade`); "
            f"`cd {where} && sha256sum * | LC_ALL=C sort -k2` shows what is there",
        )


class BundleChanging(PassingFault):
    """What is mounted is being changed, and was not whole in time."""

    code = "T032"

    def __init__(self, where: str, wanted: str, waited_s: float) -> None:
        super().__init__(
            f"{where} does not hold the bundle {wanted} yet; it was changing for {waited_s:.0f} s",
            hint="the next attempt of the Job finds it whole; when it does not, see who changes the ConfigMaps "
            "(`kubectl get configmap --show-managed-fields`)",
        )


class MountLate(PassingFault):
    """What is mounted is another bundle, and was not waited for long enough to tell an old one from a changed one."""

    code = "T033"

    def __init__(self, where: str, wanted: str, found: str, files: int, waited_s: float) -> None:
        super().__init__(
            f"{another(where, wanted, found, files, waited_s)}, "
            f"and a kubelet may show an old one for {SETTLED_S:.0f} s",
            hint="the next attempt looks again; to wait for it in one, raise --wait ([kube] wait) to 3m; when each "
            "attempt ends so, deploy ConfigMaps and Job together (`tidelock kube deploy`, `helm upgrade`)",
        )


def another(where: str, wanted: str, found: str, files: int, waited_s: float) -> str:
    """What both say of a mount that holds something else."""
    return (
        f"{where} holds another bundle: {files} files with digest {found}, meant is {wanted}; waited {waited_s:.0f} s"
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A directory that held what is meant when it was looked at."""

    folder: str
    digest: str
    hashes: Mapping[str, str]
    """Path below it → SHA-256 (hex) of each file."""

    def refuse_other(self, path: str, data: bytes) -> None:
        """Raise BundleChanging for a file of the directory that is read later and has other content than then."""
        name = os.path.relpath(path, self.folder)
        if not name.startswith("../") and self.hashes.get(name) != hashlib.sha256(data).hexdigest():
            raise BundleChanging(self.folder, self.digest, 0.0)


def wait_for(
    wanted: str, where: str, read: Callable[[], Mapping[str, bytes]], patience: Patience, sink: Sink, *, lags: bool
) -> Checked:
    """Return as soon as `read` gives the bundle with this digest.

    A kubelet may mount a ConfigMap that is seconds old, and the parts behind one volume change one after the other.
    `lags`: it is such a mount. Raises WrongBundle for one that stays another, MountLate when patience ended before
    that was certain, BundleChanging for one that was changing until the end.
    """
    found, hashes = look(read)
    if found == wanted:
        return Checked(where, wanted, hashes)
    sink.emit(Event(what=Happening.WAITING, text=f"{where} is not the bundle {wanted[:23]}… yet"))
    began, attempt, changed = patience.spent_s, 0, not found
    while patience.spent_s - began < SETTLED_S and patience.pause(backoff(attempt, first_s=0.25, most_s=2.0)):
        before, attempt = found, attempt + 1
        found, hashes = look(read)
        if found == wanted:
            return Checked(where, wanted, hashes)
        changed = changed or found != before
    waited_s = patience.spent_s - began
    if changed:
        raise BundleChanging(where, wanted, waited_s)
    if lags and waited_s < SETTLED_S:
        raise MountLate(where, wanted, found, len(hashes), waited_s)
    raise WrongBundle(where, wanted, found, len(hashes), waited_s)


def look(read: Callable[[], Mapping[str, bytes]]) -> tuple[str, Mapping[str, str]]:
    """The digest of what is there, and of each file; empty while it cannot be read, because it is being replaced."""
    try:
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in read().items()}
    except OSError:
        return "", {}
    return Bundle({}, hashes).digest, hashes
