"""Who watches over the steps of a run on TimescaleDB, in the order in which they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.timescale.guard import Guard, Keeping
from tidelock.timescale.mender import Mender
from tidelock.timescale.quiet import Quieter
from tidelock.timescale.rebuild import Rebuilder
from tidelock.timescale.refresher import Refresher
from tidelock.timescale.warner import Warner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.ports import Scene, StepHooks
    from tidelock.config import Target
    from tidelock.core.model import PlannedMigration


def keepers(scene: Scene, target: Target, pending: Sequence[PlannedMigration]) -> Sequence[StepHooks]:
    """All of them."""
    refresher = Refresher(scene, target)
    guard = Guard(scene, target, pending)
    return (
        Quieter(scene),
        Mender(scene),
        guard,
        Rebuilder(scene, target, refresher),
        Keeping(guard),
        refresher,
        Warner(scene),
    )


def rebuilders(scene: Scene, target: Target) -> Sequence[StepHooks]:
    """Those without whom a shadow database would not come to have what the real one has."""
    refresher = Refresher(scene, target)
    return (Rebuilder(scene, target, refresher), refresher)
