"""What is refused before anything runs, because the live database shows what would come of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tidelock.core.report import Finding, Severity
from tidelock.core.statement import Kind
from tidelock.core.threats import How
from tidelock.timescale import budget, look
from tidelock.timescale.coming import threats_of
from tidelock.timescale.consent import among
from tidelock.timescale.losses import Reckoning, refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import psycopg

    from tidelock.config import Target
    from tidelock.core.model import Plan, PlannedMigration
    from tidelock.core.statement import Statement
    from tidelock.core.step import Mode, Step
    from tidelock.core.threats import Threat

    Found = list[tuple[Mode, Statement, Sequence[Threat]]]

ALONE = (How.CREATE, How.THIN)
"""Harmless by itself, in a plan that takes nothing."""


def check(conn: psycopg.Connection[Any], plan: Plan, target: Target, eroding: Collection[str] = ()) -> list[Finding]:
    """Raise the reason why the plan must not run here; return what should be known of it. Changes nothing.

    `eroding`: aggregates of which it is accepted that policies of the plan will erode them.
    """
    budget.check(conn, plan)
    found = [(planned, threatening(conn, planned)) for planned in plan.pending]
    accepting = [each for each in plan.pending if each.migration.directive("accept-loss")]
    serious = any(one.how not in ALONE or one.guarded for _, file in found for _, _, many in file for one in many)
    if not serious and not accepting:
        return []
    reckoning = Reckoning(conn=conn, stock=look.take(conn), target=target)
    for planned, statements in found:
        reckoning.take(planned, statements)
    refuse(reckoning)
    threatened = reckoning.threatened | set(eroding)
    return [finding for planned in accepting for finding in idle(planned, threatened)]


def threatening(conn: psycopg.Connection[Any], planned: PlannedMigration) -> Found:
    """The statements that are left of a file, with what each may take."""
    steps = planned.steps[planned.done :]
    return [(step.mode, each, threats_of(conn, step.mode, each)) for step in steps for each in lasting(step)]


SAVEPOINT = re.compile(r"\s*(SAVEPOINT|ROLLBACK\b.*?\bTO(?:\s+SAVEPOINT)?)\s+(\S+)\s*", re.IGNORECASE | re.DOTALL)


def lasting(step: Step) -> list[Statement]:
    """The statements of a step that no ROLLBACK of the file undoes."""
    if step.rolled_back:
        return []
    found: list[Statement] = []
    points: dict[str, int] = {}
    for each in step.statements:
        point = SAVEPOINT.fullmatch(each.text) if each.facts.kind is Kind.SAVEPOINT else None
        if point and each.guards:  # nobody knows where one of that name will be
            points.clear()
        elif point and point[1].upper() == "SAVEPOINT":
            points[point[2].lower()] = len(found)
        elif point:
            del found[points.get(point[2].lower(), len(found)) :]
        found.append(each)
    return found


def idle(planned: PlannedMigration, threatened: set[str]) -> list[Finding]:
    """A remark for each accept-loss that accepts nothing."""
    from tidelock.core.facts.tree import identifier

    return [
        Finding(
            code="N006",
            severity=Severity.NOTE,
            message=f"{each.place}: nothing threatens {each.value}, so `accept-loss` accepts nothing",
            place=each.place,
        )
        for each in planned.migration.directives
        if each.name == "accept-loss" and not any(among(name, [identifier(each.value)]) for name in threatened)
    ]
