"""Whoever watches: plain lines, JSON lines, or a live terminal. Progress and logs go to stderr, results to stdout."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from tidelock.core.report import Happening
from tidelock.render import text

if TYPE_CHECKING:
    from tidelock.core.report import Event
    from tidelock.errors import TidelockError


class Plain:
    """Lines for a pipe. Safe to call from the watching thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        """Results to stdout as they come, the rest to stderr."""
        with self._lock:
            if event.what is Happening.TARGET or (event.what is Happening.ECHO and event.severity != "WARNING"):
                print(event.text, flush=True)
            elif event.what not in (Happening.APPLIED, Happening.MIGRATION, Happening.PROGRESS):
                print(text.event_line(event), file=sys.stderr, flush=True)
            if event.what is Happening.APPLIED and event.applied is not None:
                print(text.applied_line(event.applied), flush=True)

    def close(self) -> None:
        """Nothing is held."""


class JsonLines:
    """One JSON object a line on stderr."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        """Write the event with its time."""
        from tidelock.render import json

        with self._lock:
            log_line({"level": level(event), **json.event(event)})

    def close(self) -> None:
        """Nothing is held."""


def log_failure(error: TidelockError) -> None:
    """A failure as the last line of the log."""
    from tidelock.render import json

    log_line({"level": "error", "event": "failure", "text": error.message, **json.failure(error)})


def log_line(data: dict[str, Any]) -> None:
    """One JSON object with its time, on stderr."""
    from datetime import UTC, datetime

    from tidelock.render import json

    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.line({"at": at, **data}), file=sys.stderr, flush=True)


def level(event: Event) -> str:
    """The log level of an event."""
    if event.severity.lower() in ("warning", "error"):
        return event.severity.lower()
    return "info"


class Quiet:
    """For --json: the result alone, warnings on stderr."""

    def emit(self, event: Event) -> None:
        """Only what waits or was recovered is worth a line."""
        if event.what in (Happening.WAITING, Happening.RECOVERED):
            print(text.event_line(event), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is held."""
