"""Repairs before a statement runs and after it failed, and what \\gexec sends where no transaction holds it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidelock.app.patience import backoff
from tidelock.core.facts import facts_of
from tidelock.core.report import Happening
from tidelock.core.statement import Statement
from tidelock.postgres import failures, recovery
from tidelock.postgres.session import BatchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidelock.core.step import Step
    from tidelock.postgres.turn import Turn


def unhide(turn: Turn, step: Step, statement: Statement) -> None:
    """Drop what would be hidden by the statement's IF NOT EXISTS: an invalid index of the name."""
    if recovery.before_start(turn.session.conn, statement):
        why = (
            "an invalid index of that name is there, which IF NOT EXISTS would hide; dropping it and building it again"
        )
        turn.tell(Happening.RECOVERED, why, statement.place)
        mend(turn, step, lambda: recovery.before_start(turn.session.conn, statement))


@contextmanager
def sending(turn: Turn, step: Step, made: Sequence[str], number: int) -> Iterator[None]:
    """Around the sending of one of the texts that \\gexec has made: journaled with what was there before it."""
    [statement] = step.statements
    text = made[number]
    sent = Statement(text=text, place=statement.place, facts=facts_of(text))
    unhide(turn, step, sent)
    again = number == 0 or (turn.made_evidence["again"] and facts_of(made[number - 1]).rerunnable)
    turn.made = f"-- \\gexec: {number} of {len(made)} had run, then this was sent:\n{text}"
    turn.made_evidence = {
        **recovery.evidence(turn.session.conn, sent),
        "sent": text,
        "again": again,
        "last": number == len(made) - 1,
    }
    detail = {"evidence": turn.made_evidence}
    turn.write(turn.line("started", step, statement=turn.made, detail=detail))
    snapshots = recovery.waits_for_snapshots(sent.facts)
    turn.attend(step, snapshots=snapshots)
    after = turn.put_lock_timeout_by(0) if snapshots else ""
    yield
    if after:
        turn.session.run([after])


def mend(turn: Turn, step: Step, needed: Callable[[], tuple[str, ...]]) -> None:
    """Run repairs, within the patience for locks. `needed` is asked anew: what somebody builds may be whole by now."""
    number = 0
    while repairs := needed():
        began = time.monotonic()
        turn.attend()
        try:
            for repair in repairs:
                turn.session.run([repair])
        except BatchFailed as failed:
            turn.session.rollback()
            [statement] = step.statements
            if not turn.lock_not_had(failed):
                raise failures.step_failed(turn, step, failed, statement.place) from None
            turn.waited(time.monotonic() - began)
            if not turn.patience.pause(backoff(number)):
                table = statement.facts.creates[0].parent if statement.facts.creates else ""
                waited_s, blockers = turn.tally.lock_wait_s, turn.watch.blockers
                raise failures.LockNotHad(turn.migration, statement.place, waited_s, blockers, table) from None
        else:
            return
        number += 1


def clean_up(turn: Turn, statement: Statement, known: Mapping[str, Any]) -> None:
    """Drop what a failed index build left behind, when that needs no queueing; the next run does it otherwise."""
    watch = turn.watch
    cancelled, blockers, attempt_s = watch.cancelled, watch.blockers, watch.attempt_s
    for repair in recovery.leftover_indexes(turn.session.conn, known):
        watch.attend(turn.migration.label)
        try:
            turn.session.run(["BEGIN", "SET LOCAL lock_timeout = '500ms'", repair, "COMMIT"])
            done = f"cleaned up: {repair}"
        except BatchFailed as failed:
            turn.session.rollback()
            done = f"left for the next run: {repair} ({failed.error.diag.message_primary})"
        turn.tell(Happening.RECOVERED, done, statement.place)
    watch.cancelled, watch.blockers, watch.attempt_s = cancelled, blockers, attempt_s


def once(repairs: tuple[str, ...]) -> Callable[[], tuple[str, ...]]:
    """The same repairs however often they are asked for: each may be run again."""
    return lambda: repairs
