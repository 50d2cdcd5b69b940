"""A step in one transaction with its record: both happen, or neither does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from tidelock.app.patience import backoff
from tidelock.core.model import Place
from tidelock.core.report import Happening
from tidelock.core.session import SETTING
from tidelock.core.statement import Ending, Kind, Quit, Statement
from tidelock.core.step import Mode, Step
from tidelock.errors import SourceFault
from tidelock.postgres import creation, failures, lease, records
from tidelock.postgres.performer import marked
from tidelock.postgres.presence import path_of
from tidelock.postgres.session import UNLOCK, BatchFailed, prelude
from tidelock.postgres.turn import AS_CONNECTED, ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.statement import Item
    from tidelock.postgres.performer import Performer
    from tidelock.postgres.turn import Pairs, Turn

PASSING = ("55P03", "40P01", "40001")
"""lock_not_available, deadlock_detected, serialization_failure: the transaction is gone and may be tried again."""
BATCH_STATEMENTS = 30
BATCH_CHARACTERS = 100_000
"""Larger steps are sent statement by statement, so that people see how far they are."""
LEAVING = (
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET ROLE NONE",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    UNLOCK,
)
"""What gives a pooler's session back as it was. (Prepared statements may be the pooler's own, for other clients.)"""


def run(turn: Turn, performer: Performer, step: Step) -> None:
    """Run the step until it commits, or until patience ends or it fails: then a TidelockError is raised."""
    if step.journaled_first:
        turn.write(turn.line("started", step, statement=step.statements[0].shown), durable=True)
    number = 0
    while True:
        turn.attend(step)
        began = time.monotonic()
        try:
            attempt(turn, performer, step)
        except BatchFailed as failed:
            turn.session.rollback()
            consider(turn, step, failed, number, time.monotonic() - began)
        except SourceFault:  # text that only the run knew
            turn.session.rollback()
            raise
        else:
            turn.tally.lock_wait_s += turn.watch.blocked_s
            return
        number += 1


def attempt(turn: Turn, performer: Performer, step: Step) -> None:
    """Try the transaction once. Raises BatchFailed."""
    turn.read_only = step.number > 1 and turn.session.dirty and turn.defaults_to_read_only
    items = [item for item in step.items if not made_before(turn, item)]
    if not turn.looking(step) and fits_one_batch(items) and not any(map(step.in_vain, items)):
        pairs = whole(turn, step, items)
        try:
            results = turn.run(pairs)
        except BatchFailed as failed:
            if failed.error.diag.sqlstate not in PASSING and not turn.lock_not_had(failed):
                performer.show_until(pairs, turn.session.answered)
            raise
        for (_, statement), result in zip(pairs, results, strict=False):
            if statement is not None and len(results) == len(pairs):  # a rule can give a statement several answers
                performer.show([result], statement)
    else:
        turn.run(ours(opening(turn, step)))
        turn.show("opened", step)
        one_by_one(turn, performer, step, items)
        turn.show("closing", step)
        turn.run(ours(closing(turn, step)))  # made only now: its record keeps what \gset has set
    turn.show("committed", step)
    if turn.recorded_after(step):
        turn.write(turn.record(step))


def whole(turn: Turn, step: Step, items: Sequence[Item]) -> Pairs:
    """A transaction that one query can hold: every text of it, the record and COMMIT being the last two."""
    statements = [item for item in items if isinstance(item, Statement)]
    opened, closed = ours(opening(turn, step)), ours(closing(turn, step))
    if (last := recorded_before(turn, step)) is None:
        return [*opened, *marked(statements), *closed]
    at = statements.index(last)
    return [*opened, *marked(statements[:at]), *ours(recording(turn, step)), *marked(statements[at:]), *closed]


def one_by_one(turn: Turn, performer: Performer, step: Step, items: Sequence[Item]) -> None:
    """The items of a step, until the script quits."""
    for number, item in enumerate(items):
        if isinstance(item, Quit) and performer.allows(item.guards):
            return
        if item is recorded_before(turn, step):
            turn.run(ours(recording(turn, step)))
        turn.tell(Happening.PROGRESS, f"statement {number + 1} of {len(items)}", fraction=number / len(items))
        performer.perform_watched(step, item)


def opening(turn: Turn, step: Step) -> list[str]:
    """What comes before a step's statements in its transaction."""
    statements = [step.begin.text if step.begin else "BEGIN"]
    if turn.pooled:
        _, statement_s = turn.settings or (0, turn.limits.statement_timeout_s)
        statements += prelude(
            server_version=turn.server_version,
            local=True,
            lock_timeout_ms=turn.lock_timeout_ms(step),
            statement_timeout_ms=int(statement_s * 1000),
        )
    elif turn.catches(step):
        statements.append(f"SET LOCAL lock_timeout = {turn.lock_timeout_ms(step)}")
    if not fenced_late(turn, step) and not turn.recorded_after(step):
        statements.append(f"EXECUTE {lease.PREPARED_FENCE}" if turn.usable(step) else turn.fence)
    return [*statements, f"SET LOCAL ROLE {path_of(turn.role, '')}"] if turn.role else statements


def closing(turn: Turn, step: Step) -> list[str]:
    """What comes after them: the record, and the fence when it could not stand at the beginning."""
    leaving = turn.pooled and turn.leaves(step)
    if step.rolled_back:
        return ["ROLLBACK", UNLOCK] if leaving else ["ROLLBACK"]
    statements = list(LEAVING) if leaving else []
    if turn.recorded_after(step) or recorded_before(turn, step):
        return [*statements, "COMMIT"]
    return [*statements, *recording(turn, step), "COMMIT"]


def recorded_before(turn: Turn, step: Step) -> Statement | None:
    """The statement behind which the record could not be written any more; None where it comes last."""
    return None if turn.recorded_after(step) else step.ends_writing


def recording(turn: Turn, step: Step) -> list[str]:
    """The record, as the role that connected, and what is to hold with it."""
    statements = list(AS_CONNECTED) if turn.role or turn.session.dirty or turn.leaves(step) else []
    if fenced_late(turn, step):
        statements.append(turn.fence)
    if may_write_ledger(step, turn.ledger.table) or turn.leaves(step):
        statements += [turn.only_own_row(step), *turn.own_row(step)]
    return [*statements, turn.record(step)]


def consider(turn: Turn, step: Step, failed: BatchFailed, number: int, took_s: float) -> None:
    """After a failed attempt: return when it is to be tried again, raise otherwise."""
    statement = failed.sent[failed.index] if failed.index < len(failed.sent) else None
    place = place_in(turn, step, statement)
    if turn.watch.lost or lease.LOST in str(failed.error):
        raise lease.LeaseLost from None
    if records.FOREIGN_ROWS in str(failed.error):
        raise failures.ForeignLedgerRow(turn.migration, place) from None
    lock_not_had = turn.lock_not_had(failed)
    if not lock_not_had and failed.error.diag.sqlstate not in PASSING:
        turn.note_failure(step, failed, statement)
        raise failures.step_failed(turn, step, failed, place) from None
    turn.waited(took_s)
    if turn.patience.pause(backoff(number)):
        return
    turn.note_failure(step, failed, statement)
    if lock_not_had:
        table = statement.facts.locks[0].table if statement and statement.facts.locks else ""
        waited_s, blockers = turn.tally.lock_wait_s, turn.watch.blockers
        raise failures.LockNotHad(turn.migration, place, waited_s, blockers, table) from None
    raise failures.Conflict(turn.migration, place, failed.error.diag.message_primary or "") from None


def place_in(turn: Turn, step: Step, statement: Statement | None) -> Place:
    """The best place for a failure: the statement's, or where its transaction begins."""
    first = statement or step.begin or next(iter(step.statements), None)
    return first.place if first else Place(turn.migration.path, 1)


def made_before(turn: Turn, item: Item) -> bool:
    """CREATE TABLE of the ledger in a file: it was made before, with the file's own columns."""
    return creation.makes(item, turn.plan.script, turn.ledger) and not cast("Statement", item).facts.guarded


def fits_one_batch(items: Sequence[Item]) -> bool:
    """True when a step can be sent as one simple query: plain statements, not too many."""
    statements = [item for item in items if isinstance(item, Statement) and plain(item)]
    return len(statements) == len(items) <= BATCH_STATEMENTS and (
        sum(len(each.text) for each in statements) <= BATCH_CHARACTERS
    )


def plain(statement: Statement) -> bool:
    """True when nothing but the text is to be sent, and the texts behind it are read as they stand."""
    return (
        not statement.runtime
        and statement.copy_data is None
        and statement.ending is not Ending.GSET
        and SETTING not in statement.text.lower()
    )


def fenced_late(turn: Turn, step: Step) -> bool:
    """The fence stands at the end where SET TRANSACTION must be first, or where an earlier step may have changed role.

    That is enough there: such a session is its run's own, and a successor ends it before it takes over.
    """
    return sets_transaction(step) or (turn.session.dirty and step.number > 1)


def sets_transaction(step: Step) -> bool:
    """SET TRANSACTION must come before any query of its transaction, and so before the fence."""
    return any(each.facts.sets == "transaction" and not step.in_vain(each) for each in step.statements) or (
        step.begin is not None and len(step.begin.text.split()) > 1
    )


def may_write_ledger(step: Step, table: str) -> bool:
    """True when a step may touch ledger rows: it names the table, or nobody knows all that it does."""
    return any(
        each.runtime or each.facts.session or each.facts.kind in (Kind.UNKNOWN, Kind.CODE) or table in each.text
        for each in step.statements
    )


def check_pooled(step: Step) -> None:
    """Refuse, behind a pooler, what needs a session of its own."""
    for each in step.statements:
        if step.mode is Mode.ALONE:
            raise failures.NeedsDirect(
                each.place, f"{each.facts.command or 'this statement'} runs outside of a transaction"
            )
        if each.facts.session and (each.facts.kind is Kind.SESSION or each.facts.session_only):
            raise failures.NeedsDirect(each.place, f"{each.facts.command or 'this statement'} changes the session")
        if each.facts.keeps:
            raise failures.NeedsDirect(each.place, f"{each.facts.keeps} changes the session")
