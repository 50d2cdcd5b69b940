"""Sinks that keep something back: from whoever watches a run, or everything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.app.ports import Sink
    from tidelock.core.given import Given
    from tidelock.core.report import Event


@record(frozen=True, slots=True)
class Discreet:
    """A Sink before another, which is not to see what was given."""

    sink: Sink
    given: Given

    def emit(self, event: Event) -> None:
        """Pass it on."""
        self.sink.emit(replace(event, text=self.given.hidden(event.text)))

    def close(self) -> None:
        """Likewise."""
        self.sink.close()


class Silent:
    """Nobody watches."""

    def emit(self, event: Event) -> None:
        """Drop it."""

    def close(self) -> None:
        """Nothing is held."""
