"""Looks at the policies that a step has set where nobody could see it before: in a DO block, by alter_job, with an age
that the server computes. One whose next run takes what an aggregate alone has is refused, and one that will, told of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidelock.app.ports import StepHooks
from tidelock.core import erosion
from tidelock.core.report import Happening
from tidelock.core.step import Mode
from tidelock.timescale import eroding, look
from tidelock.timescale.background import home
from tidelock.timescale.consent import accepted, among
from tidelock.timescale.refusals import PolicyTakes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from tidelock.app.ports import Scene
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]

SPEAKS = re.compile(r"_polic(?:y|ies)\b|\balter_job\b|\bbgw_job\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Policy:
    """One that takes what an aggregate alone has."""

    aggregate: str
    ages: str
    """What would make it another one."""
    told: str
    now: bool
    """At its next run."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return (self.aggregate, self.ages)


@dataclass(slots=True)
class Warner(StepHooks):
    """Compares policies before and after."""

    scene: Scene
    had: set[tuple[str, str]] | None = None
    told: set[tuple[str, str]] = field(default_factory=set)

    def attends(self, step: Step) -> bool:
        """Steps that speak of policies."""
        return not step.rolled_back and any(SPEAKS.search(each.text) for each in step.statements)

    def prepare(self, step: Step) -> None:
        """What erodes already is `verify`'s to tell."""
        del step
        self.had = {each.key for each in self.taking()}

    def after(self, step: Step, statement: Statement) -> None:
        """What no transaction holds is there at once."""
        del statement
        if step.mode is Mode.ALONE:
            self.committed(step)

    def closing(self, step: Step) -> None:
        """What a transaction holds is undone, when the next run takes something."""
        if texts := [each.told for each in self.new() if each.now]:
            raise PolicyTakes(step.statements[0].place, texts)

    def committed(self, step: Step) -> None:
        """The others are told, each once."""
        del step
        for each in self.new():
            self.told.add(each.key)
            self.scene.tell(Happening.NOTE, f"WARNING {each.told}")

    def new(self) -> list[Policy]:
        """Those that take something since, which nobody has accepted."""
        if self.had is None:
            return []
        names = accepted(self.scene.conn, self.scene.migration, ())
        return [
            each for each in self.taking() if each.key not in self.had | self.told and not among(each.aggregate, names)
        ]

    def taking(self) -> Iterator[Policy]:
        """Each policy that takes something sooner or later, with how to stop it."""
        conn = self.scene.conn
        if home(conn) is None:
            return
        try:
            stock = look.take(conn)
        except look.TooOld:  # its aggregates cannot be read: nothing is known, and nothing in the way
            return
        for each in stock.aggregates:
            risky = replace(each, at_risk=eroding.at_risk(conn, each))
            for job, flaw in erosion.of(stock, risky):
                ages = f"{job.offsets.get('start_offset')} {each.retention}"
                yield Policy(each.name, ages, f"{flaw.what}. Stop it: {flaw.mend}", job.id in dict(risky.at_risk))
            if (found := eroding.expiring(conn, each)) is not None:
                kept, lost = found
                told = f"{each.name}: its retention of {kept} drops {lost.buckets:,} buckets from {lost.span}"
                yield Policy(each.name, f"keeps {kept}", f"{told} that exist nowhere else", now=True)
