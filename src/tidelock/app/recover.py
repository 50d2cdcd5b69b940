"""Recover: what an interrupted run left that only a person can settle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.model import Outcome
from tidelock.core.planner import cut
from tidelock.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.apply import Run
    from tidelock.core.model import PlannedMigration


class NothingInterrupted(UsageFault):
    """--mark-done or --retry, and nothing waits for a decision."""

    code = "U006"

    def __init__(self) -> None:
        super().__init__(
            "nothing was interrupted, so there is nothing to decide",
            hint="`tidelock status` shows the database's state",
        )


def interrupted(run: Run) -> PlannedMigration | None:
    """The first migration with a step that was started and not recorded as ended; other files do not matter here."""
    return next((each for each in begun(run) if each.interrupted is not None), None)


def look(run: Run) -> PlannedMigration | None:
    """The same, for somebody who wants to know how `apply` goes on. Raises L021 where it will."""
    there = begun(run)
    found = next((each for each in there if each.interrupted is not None), None)
    if found is None:
        for each in there:
            run.database.foresee(each)
    return found


def begun(run: Run) -> Sequence[PlannedMigration]:
    """The migrations of which some steps are done or were started, and not all."""
    observed = run.database.observe()
    run.reader.target(observed)
    files = [file for file in run.files if file.version in observed.unfinished]
    return cut(files, observed, run.reader.script, run.database.surroundings()) if files else ()


def outlook(run: Run, found: PlannedMigration) -> tuple[bool, str]:
    """Whether `apply` will go on by itself, and why or why not. Raises L021 where it will."""
    assert found.interrupted is not None, "something was interrupted"
    run.database.foresee(found)
    return run.database.outlook(found.steps[found.done], found.interrupted, found.variables)


def running(run: Run, found: PlannedMigration) -> str:
    """Who executes the statement at this moment, or its server process where the runner is dead; empty when nobody."""
    assert found.interrupted is not None, "something was interrupted"
    return run.database.executing(found.interrupted.run_id)


def settle(run: Run, *, done: bool) -> PlannedMigration:
    """Record a person's decision: it ran, or it is to be run again."""
    found = interrupted(run)
    if run.database.promoted():
        found = interrupted(run)
    if found is None or found.interrupted is None or found.interrupted.outcome not in (Outcome.STARTED, Outcome.FAILED):
        raise NothingInterrupted
    with run.database.lease([], max(file.version for file in run.files), {"recover": "mark-done" if done else "retry"}):
        run.database.decide(found.steps[found.done], found.interrupted, done=done)
    return found
