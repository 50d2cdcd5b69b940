"""A plan as text: steps, statements, locks, and why a step stands alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.syntax import unreadable
from tidelock.core.secrets import brief
from tidelock.core.step import Mode
from tidelock.render.text import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.danger import Danger
    from tidelock.core.model import Plan, PlannedMigration
    from tidelock.core.statement import Facts, Lock, Statement
    from tidelock.core.step import Step


SENT = "The parser, of PostgreSQL 18, cannot read it; `apply` sends it all the same, and the server decides."


def plan_text(
    plan: Plan, target: str, about: str, dangers: Sequence[Danger] | None = None, *, backed_up: bool = True
) -> str:
    """What would run: steps, statements, locks, and why a step stands alone. `backed_up`: dangers wait for a backup."""
    head = f"plan {plan.id}  for {target} ({about}, {plan.applied} applied)"
    if not plan.pending:
        return f"{target}  {plan.applied} applied, 0 pending. Nothing to do."
    if not backed_up:
        return "\n\n".join([head, *map(planned_text, plan.pending), *([unsecured(dangers)] if dangers else [])])
    return "\n\n".join([head, *(planned_text(each, dangers or ()) for each in plan.pending), *foot(dangers)])


def unsecured(dangers: Sequence[Danger]) -> str:
    """That no backup comes first, though one should."""
    more = f", and {len(dangers) - 1} more" if len(dangers) > 1 else ""
    return (
        f"No backup comes first, as nobody says where to: {dangers[0].place} {dangers[0].why}{more}. Write [backup] "
        'url = "s3://bucket/prefix" (or a directory) into tidelock.toml, or before = "never" when none is wanted.'
    )


def foot(dangers: Sequence[Danger] | None) -> list[str]:
    """Whether a backup comes first."""
    if dangers is None:
        return []
    return [
        "A backup comes first" + (f": {dangers[0].place} {dangers[0].why}." if dangers else ", as before each run.")
    ]


def planned_text(planned: PlannedMigration, dangers: Sequence[Danger] = ()) -> str:
    """One pending migration."""
    lines: list[str] = []
    for step in planned.steps:
        title = planned.migration.label if step.number == 1 else f"  step {step.number}"
        lines.append(f"{title:<36}  {how(step)}" + ("   done by an earlier run" if step.number <= planned.done else ""))
        for each in step.statements:
            lines.append(f"  {each.place.line:>4}  {first_words(each):<64} {consequences(each, dangers)}".rstrip())
            if slip := unreadable(each):
                lines += [f"  !     {slip.place}: {slip.message}. {sentence(slip.hint)}", f"        {SENT}"]
    if planned.interrupted:
        lines.append(
            f"  ?     step {planned.interrupted.step} was started by run {planned.interrupted.run_id} "
            "and its end is not known; the catalog will be asked"
        )
    return "\n".join(lines)


def how(step: Step) -> str:
    """In what a step runs, and why."""
    match step.mode:
        case Mode.ALONE:
            return f"alone: {step.reason}"
        case Mode.OWN:
            return "in the file's own transaction" + (
                ", which it rolls back" if step.rolled_back else ", recorded before its COMMIT"
            )
    return "in one transaction with its record" + (f" ({step.reason})" if step.reason else "")


def first_words(statement: Statement) -> str:
    """The beginning of a statement on one line."""
    return brief(statement.shown, 64)


def consequences(statement: Statement, dangers: Sequence[Danger] = ()) -> str:
    """Locks, what is not known, and what asks for a backup."""
    asks = [f"backup first: {each.why}" for each in dangers if each.place == statement.place]
    if statement.runtime:
        return "; ".join(["decided while it runs", *asks[:1]])
    strong = [lock for lock in statement.facts.locks if lock.mode not in ("AccessShare", "RowExclusive", "RowShare")]
    shown = [f"{lock.mode} on {lock.table}" + (", rewrites it" if lock.rewrite else "") for lock in strong[:3]]
    return "; ".join([*shown, *unsaid(statement.facts, strong), *asks])


def unsaid(facts: Facts, locks: Sequence[Lock]) -> Iterator[str]:
    """What the text of a statement does not tell: the catalog would."""
    if facts.kind == "unknown":
        yield "UNKNOWN: nobody can say what it locks"
    if any(each.kind == "index" for each in facts.drops):
        yield "the same on its table"
    if facts.cascade:
        yield "CASCADE: also what it does not name"
    if "ALTER COLUMN TYPE" in facts.command and not any(each.rewrite for each in locks):
        yield "may rewrite it: the old type decides"
