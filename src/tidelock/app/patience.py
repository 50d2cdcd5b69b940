"""How long to be patient: one budget for the server, for another runner and for table locks together."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Patience:
    """The budget of `--wait`: seconds that may be spent waiting in one run, whatever for."""

    wait_s: float = 60.0
    spent_s: float = field(default=0.0, init=False)

    @property
    def left_s(self) -> float:
        """Seconds that may still be spent; 0 when there are none."""
        return max(0.0, self.wait_s - self.spent_s)

    def spend(self, seconds: float) -> None:
        """Count time that was spent waiting elsewhere, such as inside the server."""
        self.spent_s += seconds

    def pause(self, seconds: float) -> bool:
        """Sleep about that long (± 25 %, so that runners do not march in step). False when the budget is used up."""
        if self.left_s <= 0:
            return False
        started = time.monotonic()
        time.sleep(min(self.left_s, seconds * random.uniform(0.75, 1.25)))  # noqa: S311 - jitter, not a secret
        self.spend(time.monotonic() - started)
        return True


def backoff(attempt: int, *, first_s: float = 0.25, most_s: float = 8.0) -> float:
    """Seconds to wait after the attempt of that number (from 0): doubled each time, up to `most_s`."""
    return min(most_s, first_s * 2.0 ** min(attempt, 16))
