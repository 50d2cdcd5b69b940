"""Background jobs that a run holds off: what the journal says of them, and which of them are out of order now.

The lines `quieted` and `unquieted` carry `{"jobs": {"1001": {"was": iso | null, "set": iso}}}`: the next start of a job
before, and the one that the run gave it. A job is out of order while it still has the one that a run gave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOLD = timedelta(hours=3)
"""For how long a job is put off. When nobody puts it back, it runs this much late."""
RENEWAL = HOLD / 2
"""A longer step puts it off again by exactly this much, so that the next start tells that it is still ours."""


@dataclass(frozen=True, slots=True)
class Held:
    """A job that was put off."""

    was: datetime | None
    """Its next start before; None when it had none and would have run at once."""
    set: datetime
    """The next start that it was given."""

    def is_ours(self, next_start: datetime | None) -> bool:
        """Whether a next start is the one that was given, or a renewal of it."""
        if next_start is None or next_start < self.set:
            return False
        return (next_start - self.set) % RENEWAL == timedelta(0)


def detail(held: Mapping[int, Held]) -> dict[str, object]:
    """A line of the journal."""
    return {
        "jobs": {
            str(job): {"was": each.was.astimezone(UTC).isoformat() if each.was else None, "set": written(each.set)}
            for job, each in sorted(held.items())
        }
    }


def written(moment: datetime) -> str:
    """A moment for the journal."""
    return moment.astimezone(UTC).isoformat()


def left(quieted: Iterable[Mapping[str, Any]], unquieted: Iterable[Mapping[str, Any]]) -> dict[int, Held]:
    """Jobs that were put off and not put back, from the details of the journal's lines, each in their order.

    A job that was put off several times is the last one: what it `was` then is what has to be put back.
    """
    back = {(job, str(each["set"])) for line in unquieted for job, each in line.get("jobs", {}).items()}
    found: dict[int, Held] = {}
    for line in quieted:
        for job, each in line.get("jobs", {}).items():
            found.pop(int(job), None)
            if (job, str(each["set"])) not in back:
                was = datetime.fromisoformat(str(each["was"])) if each["was"] else None
                found[int(job)] = Held(was, datetime.fromisoformat(str(each["set"])))
    return found
