"""Who watches over the steps of a run on TimescaleDB, in the order in which they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.timescale.quiet import Quieter
from tidelock.timescale.refresher import Refresher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.ports import Scene, StepHooks
    from tidelock.config import Target


def keepers(scene: Scene, target: Target) -> Sequence[StepHooks]:
    """All of them."""
    return (Quieter(scene), Refresher(scene, target))
