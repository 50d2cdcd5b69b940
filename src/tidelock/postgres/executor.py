"""Runs the steps of a migration, one after the other, each in the way that it asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidelock.core.model import Place, PlannedMigration
from tidelock.core.planner import check_requirements
from tidelock.core.report import AppliedMigration, Happening
from tidelock.core.step import Mode
from tidelock.postgres import alone, called, catalog, hidden, imprint, lease, records, recovery, replay, transaction
from tidelock.postgres.failures import caret, statement_failed
from tidelock.postgres.performer import Performer, marked
from tidelock.postgres.presence import path_of
from tidelock.postgres.session import BatchFailed
from tidelock.postgres.together import Together
from tidelock.postgres.turn import AS_CONNECTED, ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.model import Migration, StepRecord
    from tidelock.core.statement import Script
    from tidelock.core.step import Step
    from tidelock.postgres.imprint import Imprint
    from tidelock.postgres.replay import Remake
    from tidelock.postgres.turn import Hooks, Pairs, Turn

STRONG = ("AccessExclusive", "Exclusive", "ShareRowExclusive", "Share")
"""Locks that keep readers or writers out."""
DEFAULTS = """
SELECT coalesce(string_agg(s::text, ' ' ORDER BY s::text), '') FROM pg_catalog.pg_db_role_setting s
 WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
   AND setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))"""
"""What database and role set in a session when it starts."""


class Executor:
    """Runs migrations in one session, as the holder of the lease."""

    def __init__(self, turn: Turn, hooks: Hooks) -> None:
        self.turn, self.hooks = turn, hooks
        self.performer = Performer(turn)
        self.imprint: Imprint | None = None
        """What the journal says of the session before the step at hand."""
        self.unsure = False
        """The file at hand may change what a session starts with, …"""
        self.defaults: object = None
        """… which was this before."""
        self.worn = False
        """The file at hand leaves what DISCARD ALL does not take away."""
        turn.session.conn.add_notice_handler(self.performer.notice)

    def apply(self, pending: Sequence[PlannedMigration]) -> Iterator[AppliedMigration]:
        """Run what is left of each migration, in order; small ones share a query.

        The ledger row of a migration is written with its last step.
        """
        self.turn.hidden = hidden.look(self.turn.session.conn, pending)
        self.turn.hooks = self.hooks(self.turn, pending)
        together, at = Together(self.turn, self.performer, pending), 0
        while at < len(pending):
            end = at + together.count(at)
            if end - at > 1:
                for applied in self.several(together, at, end):
                    yield applied
                    at += 1
            if at < end:
                yield self.one(pending[at])
                at += 1

    def several(self, together: Together, start: int, end: int) -> Iterator[AppliedMigration]:
        """Small migrations in one query, up to the first that is to run by itself."""
        self.turn.begin(together.pending[start])
        self.fresh_session()
        for done in together.run(start, end):
            self.turn.tally.lock_wait_s = done.waited_s
            yield self.applied(done.planned, done.took_s)

    def one(self, planned: PlannedMigration) -> AppliedMigration:
        """What is left of a migration, step by step."""
        turn = self.turn
        turn.begin(planned)
        self.imprint = None
        turn.tell(Happening.MIGRATION, kind_of(planned))
        self.fresh_session()
        self.check_requirements(planned)
        if planned.done:
            self.resume(planned)
        for step in planned.steps[planned.done :]:
            record = planned.interrupted if step.number == planned.done + 1 else None
            if record is None or not self.settled(step, record):
                self.keep(step)
                self.run(step)
        if planned.done == len(planned.steps):  # a person said that the last step had run
            turn.write(turn.record(planned.steps[-1]))
        return self.applied(planned, time.monotonic() - turn.tally.started)

    def run(self, step: Step) -> None:
        """One step, in the way that it asks for."""
        self.turn.session.dirty = self.turn.session.dirty or self.turn.leaves(step)
        try:
            self.turn.show("prepare", step)
            if step.mode is not Mode.ALONE:
                transaction.run(self.turn, self.performer, step)
            elif step.statements[0].facts.first_in_session:
                self.run_first(step)
            else:
                alone.run(self.turn, self.performer, step)
        except BatchFailed as failed:  # what those asked who look on
            self.turn.session.rollback()
            why = "before anything of it ran"
            place = transaction.place_in(self.turn, step, None)
            raise statement_failed(self.turn.migration, failed.error, self.turn.sources, place, why) from None
        finally:
            self.turn.show("ended", step)

    def fall_back(self, source: Migration, script: Script, tables: Sequence[str]) -> None:
        """A script that is no migration, in one transaction with its line in the journal."""
        turn = self.turn
        turn.begin(PlannedMigration(migration=source, script=script, steps=(), variables={}))
        self.fresh_session()
        turn.attend()
        turn.session.dirty = True
        role = [f"SET LOCAL ROLE {path_of(turn.role, '')}"] if turn.role else []
        line = records.journal(
            turn.ledger, turn.author, "fallback", detail={"tables": list(tables), "path": source.path}
        )
        pairs = [
            *ours(["BEGIN", turn.fence, *role]),
            *marked(script.statements),
            *ours([*AS_CONNECTED, line, "COMMIT"]),
        ]
        try:
            turn.run(pairs)
        except BatchFailed as failed:
            turn.session.rollback()
            statement = failed.sent[failed.index] if failed.index < len(failed.sent) else None
            place = statement.place if statement else Place(source.path, 1)
            raise statement_failed(source, failed.error, turn.sources, place, "nothing of it remains") from None

    def check_requirements(self, planned: PlannedMigration) -> None:
        """What the plan could not know: the version of an extension that an earlier file of this run has created."""
        if planned.migration.directive("requires"):
            extensions = catalog.extensions(self.turn.session.conn)
            check_requirements(planned.migration, self.turn.server_version, extensions)

    def settled(self, step: Step, record: StepRecord) -> bool:
        """Deal with a step that an earlier run started. True when it needs no run."""
        if step.mode is Mode.ALONE:
            return alone.settle(self.turn, step, record)
        finding = recovery.outlook(self.turn.session.conn, step, record, self.turn.variables)
        if finding.verdict is recovery.Verdict.ASK:
            outside = next(each for each in step.statements if each.facts.external)
            shown = caret(self.turn.sources, outside.place)
            raise alone.OutcomeUnknown(self.turn.migration, record, finding.why, shown)
        return False

    # --- the session ---------------------------------------------------------------------------------------------

    def fresh_session(self) -> None:
        """Nothing of the file before crosses over; timeouts are ours or the file's."""
        turn = self.turn
        wanted = (
            turn.duration("lock-timeout", turn.limits.lock_timeout_s),
            turn.duration("statement-timeout", turn.limits.statement_timeout_s),
        )
        if turn.pooled:
            turn.settings = wanted
            return
        if self.worn:
            self.renew_session()
        elif turn.session.dirty:
            turn.session.run(["DISCARD ALL"])
            turn.session.dirty, turn.settings, turn.prepared = False, None, False
        self.worn = any(imprint.wears(each) for step in turn.plan.steps for each in step.statements)
        self.fresh_defaults()
        if turn.settings != wanted:
            settings = imprint.surroundings(turn, wanted)
            prepare = [lease.prepare_fence(turn.ledger, turn.author.run_id), records.prepare_record(turn.ledger)]
            turn.session.run([*settings, *([] if turn.prepared else prepare)])
            turn.settings, turn.prepared = wanted, True

    def fresh_defaults(self) -> None:
        """A new session when the file before has changed what one starts with: DISCARD ALL goes back to what it was."""
        before, self.unsure = self.unsure, any(map(self.turn.changes_defaults, self.turn.plan.steps))
        if before or self.unsure:
            row = self.turn.session.conn.execute(DEFAULTS).fetchone()
            if before and row != self.defaults:
                self.renew_session()
            self.defaults = row

    def renew_session(self) -> None:
        """Go on in a new session. The lease follows before the old one ends, so that nobody takes this run for dead."""
        turn = self.turn
        turn.check_alive()
        conn = turn.connect()
        lease.move(turn.session.conn, turn.ledger, turn.author.run_id, conn.info.backend_pid)
        turn.session.renew(conn)
        conn.add_notice_handler(self.performer.notice)
        turn.session.dirty, turn.settings, turn.prepared = False, None, False

    def run_first(self, step: Step) -> None:
        """A statement that must be the first of its session (ALTER EXTENSION timescaledb UPDATE): it gets a new one."""
        turn = self.turn
        turn.write(turn.line("started", step, statement=step.statements[0].shown))
        found = imprint.taken(turn) if turn.session.dirty else None
        self.renew_session()
        alone.send(turn, self.performer, step, {})
        turn.session.dirty, turn.settings, turn.prepared = False, None, False
        self.fresh_session()
        self.restore(turn.plan.steps[: step.number - 1], step.number, found)
        turn.write(turn.record(step))

    def keep(self, step: Step) -> None:
        """Note what the session has before a step that is not the first, where it may have something."""
        turn = self.turn
        if step.number == 1 or turn.pooled or not turn.session.dirty:
            return
        found, before = imprint.taken(turn), turn.plan.steps[step.number - 2]
        if found != self.imprint or replay.unclear([before]) or any(map(called.may_change, before.statements)):
            turn.write(turn.line(imprint.EVENT, step, detail=found.detail))
            self.imprint = found

    def resume(self, planned: PlannedMigration) -> None:
        """Give the session what the steps of an earlier run had left in theirs. Raises SessionGone."""
        turn, done, number = self.turn, planned.steps[: planned.done], planned.done + 1
        before, found = imprint.last(turn.conn, turn.ledger, turn.given, planned.migration.version, number)
        remade = self.restore(done, before, found)
        self.imprint = found if before == number else None
        replay.check(turn.session.conn, planned, remade, before)

    def restore(self, done: Sequence[Step], before: int, found: Imprint | None) -> Remake:
        """Run again what changes the session alone; `found` is what it had before the step with that number."""
        remade = replay.remake(done)
        for step, statements in remade.again:
            if step.number < before:
                self.made_again(step, [(each.text, each) for each in statements])
        if found:
            self.made_again(done[0], [(text, None) for text in imprint.again(self.turn, found)])
            remade.lose(found.objects, imprint.taken(self.turn).objects)
        for step, statements in remade.again:
            if step.number >= before:
                self.made_again(step, [(each.text, each) for each in statements])
        return remade

    def made_again(self, step: Step, pairs: Pairs) -> None:
        """Statements whose effect is the session's."""
        self.turn.session.dirty = True
        try:
            self.run_again(pairs, alone=step.mode is Mode.ALONE)
        except BatchFailed as failed:
            self.turn.session.rollback()
            why = f"what step {step.number} had left in the session cannot be made again"
            place, sources = step.statements[0].place, self.turn.sources
            raise statement_failed(self.turn.migration, failed.error, sources, place, why) from None

    def run_again(self, pairs: Pairs, *, alone: bool) -> None:
        """In a transaction, as when they ran first."""
        if not alone:
            self.turn.run(ours(["BEGIN"]))
        for text, statement in pairs:
            if statement is None or statement.copy_data is None:
                self.turn.run(ours([text]))  # as if it were ours: what the server says to it was shown before
            else:
                self.performer.copy(statement, text)
        if not alone:
            self.turn.run(ours(["COMMIT"]))

    # --- what is told --------------------------------------------------------------------------------------------

    def applied(self, planned: PlannedMigration, took_s: float) -> AppliedMigration:
        """Note what a migration said, and tell that it is done."""
        turn, migration = self.turn, planned.migration
        turn.versions.add(migration.version)
        turn.note_output()
        statements = [each for step in planned.steps for each in step.statements]
        created = {made.qualified for each in statements for made in each.facts.creates}
        locks = dict.fromkeys(lock.table for each in statements for lock in each.facts.locks if lock.mode in STRONG)
        applied = AppliedMigration(
            version=migration.version,
            label=migration.label,
            path=migration.path,
            steps=len(planned.steps),
            statements=len(statements),
            alone=any(step.mode is Mode.ALONE for step in planned.steps),
            duration_s=took_s,
            lock_wait_s=turn.tally.lock_wait_s,
            locks=tuple(table for table in locks if table not in created),
        )
        turn.tell(Happening.APPLIED, "applied", applied=applied)
        return applied


def kind_of(planned: PlannedMigration) -> str:
    """`1 transaction · 2 statements`: how a migration will run."""
    statements = sum(len(step.statements) for step in planned.steps)
    alone_steps = sum(step.mode is Mode.ALONE for step in planned.steps)
    words = []
    if transactions := len(planned.steps) - alone_steps:
        words.append(f"{transactions} transaction" + ("s" if transactions > 1 else ""))
    if alone_steps:
        words.append("alone" if alone_steps == 1 else f"{alone_steps} alone")
    return " · ".join([*words, f"{statements} statement" + ("" if statements == 1 else "s")])
