"""A statement that no transaction may hold: journaled before, recorded after, and judged when it was cut off."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tidelock.app.patience import backoff
from tidelock.core.model import Outcome
from tidelock.core.report import Happening
from tidelock.core.statement import Kind
from tidelock.errors import LedgerFault
from tidelock.postgres import failures, lease, records, recovery
from tidelock.postgres.failures import caret
from tidelock.postgres.mending import clean_up, mend, once, unhide
from tidelock.postgres.presence import path_of
from tidelock.postgres.session import BatchFailed
from tidelock.postgres.transaction import may_write_ledger
from tidelock.postgres.variables import as_sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.core.model import Migration, StepRecord
    from tidelock.core.step import Step
    from tidelock.postgres.performer import Performer
    from tidelock.postgres.turn import Turn


class OutcomeUnknown(LedgerFault):
    """A statement was cut off, the catalog cannot tell how it ended, and repeating it may do harm."""

    code = "L020"

    def __init__(self, migration: Migration, record: StepRecord, why: str, shown: str) -> None:
        at = f" on {record.at:%Y-%m-%d %H:%M:%S %Z}" if record.at else ""
        became = f"failed{at}" if record.outcome is Outcome.FAILED else f"was started{at} and nobody recorded its end"
        super().__init__(
            f"{migration.label}: step {record.step} {became}; {why}",
            hint="look at the database, then: `tidelock recover --mark-done` when it ran, "
            "`tidelock recover --retry` when it did not",
            detail=shown,
        )


def run(turn: Turn, performer: Performer, step: Step) -> None:
    """Run the step's one statement, with what was there before it noted in the journal."""
    [statement] = step.statements
    if not performer.allows(statement.guards):
        turn.write(turn.record(step))
        return
    statement = as_sent(turn.session.conn, statement, turn.variables)
    unhide(turn, step, statement)
    known = recovery.evidence(turn.session.conn, statement)
    started = turn.line("started", step, statement=statement.shown, detail={"evidence": known})
    turn.write(started, durable=step.external)
    turn.check_alive()
    send(turn, performer, step, known)
    record(turn, step)


def record(turn: Turn, step: Step) -> None:
    """Record it, unless it has touched a ledger row of another version: nothing takes that back, so a person does."""
    if not may_write_ledger(step, turn.ledger.table):
        turn.write(turn.record(step))
        return
    try:
        turn.write(turn.record(step), provided=[turn.only_own_row(step), *turn.own_row(step)])
    except BatchFailed:
        there = set(records.versions(turn.session.conn, turn.ledger)) - {step.version}
        known = turn.versions - {step.version}
        new, gone = [[str(each) for each in sorted(some)] for some in (there - known, known - there)]
        found = ", ".join([f"{each} is new" for each in new] + [f"{each} is gone" for each in gone])
        raise failures.ForeignLedgerRow(turn.migration, step.statements[0].place, found) from None


def send(turn: Turn, performer: Performer, step: Step, known: Mapping[str, Any]) -> None:
    """Send it, with the limits that suit it; clean up and try again when it fails for a lock."""
    [statement] = step.statements
    snapshots = recovery.waits_for_snapshots(as_sent(turn.session.conn, statement, turn.variables).facts)
    after = surround(turn, step, snapshots)
    turn.made, turn.made_evidence = "", {}
    number = 0
    while True:
        if number:  # what the attempt before has left would be in the way, or be hidden by IF NOT EXISTS
            mend(turn, step, partial(recovery.leftover_indexes, turn.session.conn, known))
        turn.attend(step, snapshots=snapshots)
        began = time.monotonic()
        try:
            performer.perform_watched(step, statement)
            break
        except BatchFailed as failed:
            turn.session.rollback()
            known = turn.made_evidence or known
            clean_up(turn, statement, known)
            consider(turn, step, failed, number, time.monotonic() - began, known)
            number += 1
    turn.tally.lock_wait_s += turn.watch.blocked_s
    if after:
        turn.session.run(after)


def surround(turn: Turn, step: Step, snapshots: bool) -> list[str]:
    """Settings of the session for the statement at hand: the SQL that ends them.

    A concurrent build has no lock_timeout: it counts waiting for old snapshots too, and leaves an invalid index.
    """
    after = []
    if snapshots or turn.catches(step):
        after.append(turn.put_lock_timeout_by(0 if snapshots else turn.lock_timeout_ms(step)))
    if turn.role:
        turn.session.run([f"SET ROLE {path_of(turn.role, '')}"])
        after.append("RESET ROLE")
    return after


def consider(turn: Turn, step: Step, failed: BatchFailed, number: int, took_s: float, known: Mapping[str, Any]) -> None:
    """After a failed attempt: return when nothing was changed and it may be tried again, raise otherwise."""
    statement = as_sent(turn.session.conn, step.statements[0], turn.variables)
    if turn.watch.lost:
        raise lease.LeaseLost from None
    if not turn.lock_not_had(failed):
        turn.note_failure(step, failed, statement, known)
        raise failures.step_failed(turn, step, failed, statement.place) from None
    turn.waited(took_s)
    again = statement.facts.kind not in (Kind.CODE, Kind.UNKNOWN) and known.get("again", True)
    if again and turn.patience.pause(backoff(number)):
        return
    turn.note_failure(step, failed, statement, known)
    table = statement.facts.creates[0].parent if statement.facts.creates else ""
    waited_s, blockers = turn.tally.lock_wait_s, turn.watch.blockers
    if turn.watch.cancelled and recovery.waits_for_snapshots(statement.facts):
        raise failures.WaitedForOthers(turn.migration, statement.place, waited_s, blockers) from None
    raise failures.LockNotHad(turn.migration, statement.place, waited_s, blockers, table) from None


def settle(turn: Turn, step: Step, record: StepRecord) -> bool:
    """Deal with a statement that an earlier run started. True when it needs no run. Raises OutcomeUnknown."""
    [statement] = step.statements
    finding = recovery.outlook(turn.session.conn, step, record, turn.variables)
    if finding.verdict is recovery.Verdict.ASK:
        mend(turn, step, once(finding.repairs))
        shown = caret(turn.sources, statement.place)
        raise OutcomeUnknown(turn.migration, record, finding.why, shown)
    at = f" on {record.at:%Y-%m-%d %H:%M %Z}" if record.at else ""
    became = "failed" if record.outcome is Outcome.FAILED else "was cut off"
    turn.tell(Happening.RECOVERED, f"{turn.migration.label} {became}{at}: {finding.why}", statement.place)
    mend(turn, step, once(finding.repairs))
    turn.write(turn.line("recovered", step, detail={"why": finding.why}))
    if finding.verdict is recovery.Verdict.RETRY:
        return False
    turn.write(turn.record(step))
    return True
