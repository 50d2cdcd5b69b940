"""The Job's side of a bundle: what is mounted has to be what is meant, and a mount may lag behind."""

from __future__ import annotations

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
            f"{where} holds another bundle: {files} files with digest {found}, meant is {wanted}; "
            f"waited {waited_s:.0f} s, and nothing changed",
            hint="deploy ConfigMaps and Job together (`tidelock kube deploy`); "
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


def wait_for(wanted: str, where: str, read: Callable[[], Mapping[str, bytes]], patience: Patience, sink: Sink) -> None:
    """Return as soon as `read` gives the bundle with this digest.

    A kubelet may mount a ConfigMap that is seconds old, and the parts behind one volume change one after the other.
    Raises WrongBundle for one that stays another, BundleChanging for one that was changing until the end.
    """
    found, files = look(read)
    if found == wanted:
        return
    sink.emit(Event(what=Happening.WAITING, text=f"{where} is not the bundle {wanted[:23]}… yet"))
    began, attempt, changed = patience.spent_s, 0, not found
    while patience.spent_s - began < SETTLED_S and patience.pause(backoff(attempt, first_s=0.25, most_s=2.0)):
        before, attempt = found, attempt + 1
        found, files = look(read)
        if found == wanted:
            return
        changed = changed or found != before
    waited_s = patience.spent_s - began
    if changed:
        raise BundleChanging(where, wanted, waited_s)
    raise WrongBundle(where, wanted, found, files, waited_s)


def look(read: Callable[[], Mapping[str, bytes]]) -> tuple[str, int]:
    """The digest of what is there and how many files; empty while it cannot be read, because it is being replaced."""
    try:
        bundle = Bundle(read())
    except OSError:
        return "", 0
    return bundle.digest, len(bundle.files)
