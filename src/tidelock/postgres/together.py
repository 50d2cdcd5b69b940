"""Several small migrations in one query, each in a transaction of its own.

A round trip costs as much as all else that is done for a small migration. The server runs the transactions of a
query one after the other; an error ends the query, and what was committed before it stays (ADR 0006).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from psycopg.pq import ExecStatus

from tidelock.core.report import Happening
from tidelock.core.step import Mode
from tidelock.postgres import transaction
from tidelock.postgres.imprint import wears
from tidelock.postgres.session import BatchFailed, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.pq.abc import PGresult

    from tidelock.core.model import PlannedMigration
    from tidelock.core.step import Step
    from tidelock.postgres.performer import Held, Performer
    from tidelock.postgres.turn import Pairs, Turn

OF_ITS_OWN = ("lock-timeout", "statement-timeout", "requires")
"""Directives that change the session, or ask something, before their file runs."""


@dataclass(frozen=True, slots=True)
class Member:
    """One migration of the query: its texts, of which the last two are its record and its COMMIT, begin at `first`."""

    planned: PlannedMigration
    pairs: Pairs
    first: int

    @property
    def step(self) -> Step:
        """Its one step."""
        return self.planned.steps[0]

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.first + len(self.pairs)


@dataclass(frozen=True, slots=True)
class Done:
    """One that was committed, by the server's clock."""

    planned: PlannedMigration
    took_s: float
    waited_s: float


def commits(answers: Sequence[PGresult]) -> list[int]:
    """Where a COMMIT was answered. Not every statement has one answer: a rule can give it several, or none."""
    return [at for at, each in enumerate(answers) if each.command_status == b"COMMIT"]


def done_with(answers: Sequence[PGresult]) -> int:
    """How many answers are those of what was committed."""
    return max(commits(answers), default=-1) + 1


class Together:
    """What is pending, taken together where it may be. While the server is at one query, the next one is written."""

    def __init__(self, turn: Turn, performer: Performer, pending: Sequence[PlannedMigration]) -> None:
        self.turn, self.performer, self.pending = turn, performer, pending
        self.ahead: tuple[int, list[Member]] = (-1, [])
        """Where the next query begins, and what it will be."""

    def count(self, start: int) -> int:
        """How many migrations from `start` on may share a query; 1 when the first one is to run by itself."""
        if self.turn.pooled or self.turn.limits.statement_timeout_s:
            return 1
        if self.ahead[0] == start:
            return max(len(self.ahead[1]), 1)
        found = statements = characters = 0
        for planned in islice(self.pending, start, None):
            if not fits(planned, self.turn.ledger.table):
                break
            if self.turn.looking(planned.steps[0]) or self.turn.changes_defaults(planned.steps[0]):
                break
            texts = [each.text for each in planned.steps[0].statements]
            statements += len(texts)
            characters += sum(map(len, texts))
            if statements > transaction.BATCH_STATEMENTS or characters > transaction.BATCH_CHARACTERS:
                break
            found += 1
        return max(found, 1)

    def run(self, start: int, end: int) -> Iterator[Done]:
        """Run the migrations from `start` up to `end`; each that was committed comes back.

        Ends early at one that found a lock taken, or that the server cannot read: the caller runs it by itself. Raises
        for one that failed, as `transaction.run` does.
        """
        turn, performer = self.turn, self.performer
        members = self.ahead[1] if self.ahead[0] == start else self.composed(start, end)
        turn.begin(self.pending[start])
        turn.tell(Happening.MIGRATION, f"and {end - start - 1} more, each in a transaction")
        turn.attend()
        turn.watch.label = f"{turn.migration.label} to {self.pending[end - 1].migration.label}"
        began = time.monotonic()
        turn.session.answered = []
        try:
            with performer.holding() as held:
                turn.send([pair for each in members for pair in each.pairs])
                self.look_ahead(end)
                turn.results()
        except KeyboardInterrupt:
            turn.session.stop()
            answers = turn.session.answered
            turn.session.rollback()
            yield from committed(turn, performer, members, held, answers)
            raise
        except BatchFailed as failed:
            answers = turn.session.answered
            turn.session.rollback()
            at = next((number for number, each in enumerate(members) if failed.index < each.end), -1)
            if failed.ran == 0 and at > 0:  # a syntax error in that one: the server has run nothing, of none of them
                yield from self.run(start, start + at)
                return
            yield from committed(turn, performer, members, held, answers)  # if a lock was waited for, then not by them
            if at != len(commits(answers)):
                return  # a rule made statements answer more than once: which one failed is found when it runs alone
            turn.begin(self.pending[start + at])
            performer.let_go(held, members[at].step)
            if failed.error.diag.sqlstate not in transaction.PASSING:
                performer.show_until(members[at].pairs, answers[done_with(answers) :])
            transaction.consider(turn, members[at].step, failed, 0, time.monotonic() - began)
        else:
            waited_s = turn.watch.blocked_s
            yield from committed(turn, performer, members, held, turn.session.answered, waited_s)

    def look_ahead(self, start: int) -> None:
        """Write the query that begins there, if there is to be one."""
        number = self.count(start)
        self.ahead = (start, self.composed(start, start + number) if number > 1 else [])

    def composed(self, start: int, end: int) -> list[Member]:
        """The texts of each."""
        members: list[Member] = []
        for planned in islice(self.pending, start, end):
            self.turn.begin(planned)
            [step] = planned.steps
            first = members[-1].end if members else 0
            members.append(Member(planned, transaction.whole(self.turn, step, step.items), first))
        return members


def fits(planned: PlannedMigration, ledger: str) -> bool:
    """Nothing of it has begun, and one plain transaction is all of it, which leaves nothing in the session."""
    if len(planned.steps) != 1 or planned.done or planned.interrupted:
        return False
    [step] = planned.steps
    return (
        step.mode is Mode.TRANSACTION
        and not any(map(planned.migration.directive, OF_ITS_OWN))
        and not step.session
        and not step.external
        and not any(map(wears, step.statements))
        and not transaction.may_write_ledger(step, ledger)
        and transaction.fits_one_batch(step.items)
        and not any(map(step.in_vain, step.items))
    )


def committed(
    turn: Turn,
    performer: Performer,
    members: Sequence[Member],
    held: Held,
    answers: Sequence[PGresult],
    waited_s: float = 0.0,
) -> Iterator[Done]:
    """Those whose COMMIT was answered; what the server said to their statements is told first.

    `waited_s` was spent in waiting for a lock. Nobody can say by which of them: the slowest is the likeliest.
    """
    ends = commits(answers)
    done = members[: len(ends)]
    took_s = [float(answers[end - 1].get_value(0, 0) or 0) for end in ends]  # the record stands before its COMMIT
    longest_s = max(took_s, default=0.0)
    first = 0
    for each, end, seconds in zip(done, ends, took_s, strict=True):
        turn.begin(each.planned)
        performer.let_go(held, each.step)
        mine, first = answers[first : end + 1], end + 1
        for (_, statement), answer in zip(each.pairs, mine, strict=False):
            if statement is not None and answer.status == ExecStatus.TUPLES_OK and len(mine) == len(each.pairs):
                performer.show([rows_of(answer)], statement)
        yield Done(each.planned, seconds, waited_s if seconds == longest_s else 0.0)
