"""Tells of a refresh policy that a step has set to erode an aggregate, where nobody could see it before: in a DO block,
by alter_job, with an age that the server computes. What can be seen is refused before anything runs (L051)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelock.app.ports import StepHooks
from tidelock.core.erosion import erodes, flaw
from tidelock.core.report import Happening
from tidelock.core.step import Mode
from tidelock.timescale import look
from tidelock.timescale.background import home
from tidelock.timescale.consent import accepted, among
from tidelock.timescale.policies import warning

if TYPE_CHECKING:
    import psycopg

    from tidelock.app.ports import Scene
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]
    Policy = tuple[str, str, str]
    """Aggregate, start_offset, how long its source is kept."""

SPEAKS = re.compile(r"_policy\b|\balter_job\b", re.IGNORECASE)


@dataclass(slots=True)
class Warner(StepHooks):
    """Compares policies before and after."""

    scene: Scene
    had: set[Policy] | None = None
    told: set[Policy] = field(default_factory=set)

    def attends(self, step: Step) -> bool:
        """Steps that speak of policies."""
        return not step.rolled_back and any(SPEAKS.search(each.text) for each in step.statements)

    def prepare(self, step: Step) -> None:
        """What erodes already is `verify`'s to tell."""
        del step
        self.had = set(self.eroding())

    def after(self, step: Step, statement: Statement) -> None:
        """What no transaction holds is there at once."""
        del statement
        if step.mode is Mode.ALONE:
            self.committed(step)

    def committed(self, step: Step) -> None:
        """What erodes since."""
        del step
        if self.had is None:
            return
        names = accepted(self.scene.conn, self.scene.migration, ())
        for policy, text in self.eroding().items():
            if policy not in self.had | self.told and not among(policy[0], names):
                self.told.add(policy)
                self.scene.tell(Happening.NOTE, text)

    def eroding(self) -> dict[Policy, str]:
        """Each policy that erodes, with how to stop it."""
        conn = self.scene.conn
        if home(conn) is None:
            return {}
        try:
            stock = look.take(conn)
        except look.TooOld:  # its aggregates cannot be read: nothing is known, and nothing in the way
            return {}
        return {
            (each.name, str(job.offsets.get("start_offset")), str(each.retention)): warning(flaw(stock, each, job))
            for each in stock.aggregates
            for job in each.jobs
            if erodes(each, job)
        }
