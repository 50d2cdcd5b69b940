"""What to do about one database of the operator: what is wanted, and the Jobs that there are → one action. Pure.

Level-triggered: nothing is remembered but what the Jobs and the target's status say, so that a decision made twice, by
an operator that was killed or by two at once, is the same decision, with the same name for the same attempt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LASTING = (1, 2, 3, 4, 5, 6, 7, 8, 70)
"""Exit codes that wait for a person. Other ends pass by themselves: 75, killed, evicted, out of memory, too late."""
ON_FALLBACK = 8
STUCK_S = 10.0
"""A Job of something else than is wanted now, none of whose containers has begun for so long, is given up."""
LOOK_S = 60.0
"""After the first look why a Job has not begun there is one as often as this: the reason may be another one by then."""


class State(StrEnum):
    """How a Job stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a Job ended, as its last container told."""

    exit_code: int | None = None
    """None when no container told: the node died, the deadline passed before one began."""
    reason: str = ""
    """A word of Kubernetes: OOMKilled, Evicted, DeadlineExceeded, …"""
    code: str = ""
    """Of Tidelock: D010."""
    message: str = ""

    @property
    def lasting(self) -> bool:
        """Trying again would only repeat it."""
        return self.exit_code in LASTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One Job."""

    serial: int
    """The number of the attempt, from 1, never given twice to one target."""
    mark: str
    """Of all that made it: bundle, settings, specification."""
    state: State
    failures: int = 0
    """Attempts with the same mark before it that passed by themselves in vain."""
    outcome: Outcome | None = None
    """None until somebody has looked."""
    ended_at: float = 0.0
    """Seconds since the epoch."""
    created_at: float = 0.0
    begun: bool = True
    """A container of it runs, or has run."""
    leaving: bool = False
    """It is being deleted; it counts as running until it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a target asks for now."""

    mark: str
    """Of bundle, settings and specification; empty when there is no bundle."""
    whole: bool = True
    """All parts of the bundle are of one digest."""
    suspended: bool = False
    first_s: float = 10.0
    """Seconds before the first retry; doubled each time."""
    most_s: float = 600.0
    """The longest pause between retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the target's status says, for when Jobs were deleted."""

    serial: int = 0
    applied: str = ""
    """The mark of the last run, once it has succeeded."""


class Phase(StrEnum):
    """How a target stands, as reasons of its conditions."""

    APPLIED = "Applied"
    RUNNING = "Running"
    CANNOT_BEGIN = "CannotBegin"
    """A Job is there, and something keeps its pod from starting."""
    REFUSED = "Refused"
    """The API server does not take the Job; it is asked again."""
    RETRYING = "Retrying"
    """It failed with what passes by itself, and is tried again for ever."""
    FAILED = "Failed"
    """A person has to mend something."""
    ON_FALLBACK = "OnFallback"
    """The application can start; a critical table stands on its fallback."""
    NO_BUNDLE = "NoBundle"
    BUNDLE_INCOMPLETE = "BundleIncomplete"
    SUSPENDED = "Suspended"


class Do(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    START = "start"
    LOOK = "look"
    """Read how the Job ended, and note it there."""
    CANCEL = "cancel"
    """Delete a Job that cannot begin and is not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One decision: what to do, and how the target stands."""

    do: Do
    phase: Phase
    serial: int = 0
    """Of the Job that it is about."""
    failures: int = 0
    """For START: attempts of the same before it."""
    at: float | None = None
    """Decide again at this time, if nothing happens before: seconds since the epoch."""
    outcome: Outcome | None = None
    """How the last attempt ended, where that is why the target stands so."""


def decide(wanted: Wanted, runs: Sequence[Run], memory: Memory, now: float) -> Action:
    """What to do now. The same state gives the same action, whoever asks."""
    if going := [each for each in runs if each.state is State.RUNNING]:
        return about_running(wanted, max(going, key=lambda each: each.serial), now)
    last = max(runs, key=lambda each: each.serial, default=None)
    if last and last.outcome is None:
        return Action(do=Do.LOOK, phase=Phase.RUNNING, serial=last.serial)
    if obstacle := held_back(wanted):
        return Action(do=Do.NOTHING, phase=obstacle)
    if last is None or memory.serial > last.serial:  # somebody deleted the newest
        if memory.applied == wanted.mark:
            return Action(do=Do.NOTHING, phase=Phase.APPLIED, serial=memory.serial)
        return start(memory.serial + 1)
    if last.mark != wanted.mark:
        return start(last.serial + 1)
    return about_ended(wanted, last, now)


def start(serial: int, failures: int = 0) -> Action:
    """A Job with the next number."""
    return Action(do=Do.START, phase=Phase.RUNNING, serial=serial, failures=failures)


def held_back(wanted: Wanted) -> Phase | None:
    """Why nothing is started, whatever the Jobs say."""
    if wanted.suspended:
        return Phase.SUSPENDED
    if not wanted.mark:
        return Phase.NO_BUNDLE
    return None if wanted.whole else Phase.BUNDLE_INCOMPLETE


def about_running(wanted: Wanted, run: Run, now: float) -> Action:
    """A Job that goes on is left alone, unless it cannot begin and something else is wanted."""
    if run.begun or run.leaving:
        return Action(do=Do.NOTHING, phase=Phase.RUNNING, serial=run.serial)
    stuck = now >= run.created_at + STUCK_S
    if stuck and wanted.mark not in ("", run.mark) and wanted.whole:
        return Action(do=Do.CANCEL, phase=Phase.RUNNING, serial=run.serial)
    at = run.created_at + STUCK_S if not stuck else now + LOOK_S
    return Action(do=Do.NOTHING, phase=Phase.CANNOT_BEGIN if stuck else Phase.RUNNING, serial=run.serial, at=at)


def about_ended(wanted: Wanted, last: Run, now: float) -> Action:
    """The last Job was for just what is wanted: done, for a person, or to be tried again."""
    if last.state is State.SUCCEEDED:
        return Action(do=Do.NOTHING, phase=Phase.APPLIED, serial=last.serial, outcome=last.outcome)
    assert last.outcome is not None
    if last.outcome.lasting:
        phase = Phase.ON_FALLBACK if last.outcome.exit_code == ON_FALLBACK else Phase.FAILED
        return Action(do=Do.NOTHING, phase=phase, serial=last.serial, outcome=last.outcome)
    due = last.ended_at + pause_s(wanted, last)
    if now >= due:
        return start(last.serial + 1, last.failures + 1)
    return Action(do=Do.NOTHING, phase=Phase.RETRYING, serial=last.serial, at=due, outcome=last.outcome)


def pause_s(wanted: Wanted, last: Run) -> float:
    """Seconds until the next attempt: doubled each time, ± 25 % so that targets do not march in step.

    The jitter comes from the attempt itself, so that an operator that is started again waits for the same moment.
    """
    base = min(wanted.most_s, wanted.first_s * 2.0 ** min(last.failures, 16))
    share = int.from_bytes(hashlib.sha256(f"{last.mark}/{last.serial}".encode()).digest()[:4]) / 2**32
    return base * (0.75 + share / 2)
