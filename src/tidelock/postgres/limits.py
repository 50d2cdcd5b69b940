"""How long statements of a migration may wait and run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long statements may wait and run."""

    lock_timeout_s: float = 2.0
    """Seconds that one attempt queues for a lock. Everyone behind it queues too."""
    statement_timeout_s: float = 0.0
    """0 is no limit."""
    build_limit_s: float = 600.0
    """Seconds that a concurrent index build may wait for others before it is cancelled and cleaned up."""
