"""Runs the steps of a migration and records each together with its effect."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelock.app.patience import backoff
from tidelock.core.model import Echo, Ending, Kind, Mode, Outcome, Place, Quit, Statement
from tidelock.core.report import AppliedMigration, Event, Happening
from tidelock.core.source import seconds
from tidelock.errors import LedgerFault
from tidelock.postgres import catalog, failures, lease, recovery, replay
from tidelock.postgres import ledger as tables
from tidelock.postgres.failures import caret, place_of, statement_failed
from tidelock.postgres.session import BatchFailed, prelude
from tidelock.postgres.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink
    from tidelock.core.model import Item, Migration, PlannedMigration, Step
    from tidelock.postgres.ledger import Author, Ledger
    from tidelock.postgres.session import Rows, Session
    from tidelock.postgres.watch import Watch

PASSING = ("55P03", "40P01", "40001")
"""lock_not_available, deadlock_detected, serialization_failure: the transaction is gone and may be tried again."""
BATCH_STATEMENTS = 30
BATCH_CHARACTERS = 100_000
"""Larger steps are sent statement by statement, so that people see how far they are."""
SHOWN_ROWS = 20


class OutcomeUnknown(LedgerFault):
    """A statement was cut off, the catalog cannot tell how it ended, and repeating it may do harm."""

    code = "L020"

    def __init__(self, migration: Migration, step: Step, place: Place, at: object, why: str, statement: str) -> None:
        super().__init__(
            f"{migration.label}: step {step.number} was started{f' on {at:%Y-%m-%d %H:%M:%S %Z}' if at else ''} and nobody recorded its end; {why}",
            hint="look at the database, then: `tidelock recover --mark-done` when it ran, `tidelock recover --retry` when it did not",
            detail=f"{place}\n{statement}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long statements may wait and run."""

    lock_timeout_s: float = 2.0
    """Seconds that one attempt queues for a lock. Everyone behind it queues too."""
    statement_timeout_s: float = 0.0
    """0 is no limit."""
    build_limit_s: float = 600.0
    """Seconds that a concurrent index build may wait for others before it is cancelled and cleaned up."""


@dataclass(slots=True)
class Tally:
    """What adds up over the steps of one migration."""

    started: float = field(default_factory=time.monotonic)
    lock_wait_s: float = 0.0
    statements: int = 0
    output: list[dict[str, object]] = field(default_factory=list)


class Executor:
    """Runs migrations in one session, as the holder of the lease."""

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        author: Author,
        watch: Watch,
        patience: Patience,
        sink: Sink,
        *,
        limits: Limits,
        role: str | None,
        pooled: bool,
        server_version: int,
        rows: int,
    ) -> None:
        self.session, self.ledger, self.author, self.watch = session, ledger, author, watch
        self.patience, self.sink, self.limits, self.role = patience, sink, limits, role
        self.pooled, self.server_version = pooled, server_version
        self.rows = rows
        """Rows in the ledger: a file that adds or removes another version's is found by the count."""
        self.fence = lease.fence(ledger, author.run_id)
        self.migration: Migration
        self.text: Mapping[str, str] = {}
        self.sent: tuple[Statement | None, ...] = ()
        self.tally = Tally()
        self.variables = Variables(session.conn, {})
        self.settings: tuple[float, float] | None = None
        self.prepared = False
        """Fence and record are prepared statements of the session; false where a file may have removed them."""

    # --- a migration ---------------------------------------------------------------------------------------------

    def apply(self, planned: PlannedMigration) -> AppliedMigration:
        """Run what is left of a migration. Its ledger row is written with its last step."""
        self.migration, self.text, self.tally = planned.migration, planned.script.sources, Tally()
        self.variables = Variables(self.session.conn, dict(planned.variables))
        self.sink.emit(
            Event(
                what=Happening.MIGRATION,
                version=self.migration.version,
                label=self.migration.label,
                text=kind_of(planned),
            )
        )
        self.fresh_session()
        if planned.done:
            self.replay(planned.steps[: planned.done])
        for step in planned.steps[planned.done :]:
            record = planned.interrupted if step.number == planned.done + 1 else None
            if record is None or not self.settled(step, record, planned):
                self.run(step, planned)
        if planned.done == len(planned.steps):  # a person said that the last step had run
            self.write(self.record(planned.steps[-1], planned))
        self.rows += 1
        self.flush_output()
        return self.summary(planned)

    def run(self, step: Step, planned: PlannedMigration) -> None:
        """One step, in the way that it asks for."""
        self.tally.statements += len(step.statements)
        self.session.dirty = self.session.dirty or step.session
        if step.mode is Mode.ALONE:
            self.run_alone(step, planned)
        else:
            self.run_transaction(step, planned)

    def summary(self, planned: PlannedMigration) -> AppliedMigration:
        """What is told of a migration at its end."""
        steps = planned.steps
        locks = dict.fromkeys(
            lock.table
            for step in steps
            for each in step.statements
            for lock in each.facts.locks
            if lock.mode in ("AccessExclusive", "Exclusive", "ShareRowExclusive", "Share")
        )
        created = {made.qualified for step in steps for each in step.statements for made in each.facts.creates}
        applied = AppliedMigration(
            version=self.migration.version,
            label=self.migration.label,
            path=self.migration.path,
            steps=len(steps),
            statements=sum(len(step.statements) for step in steps),
            alone=any(step.mode is Mode.ALONE for step in steps),
            duration_s=time.monotonic() - self.tally.started,
            lock_wait_s=self.tally.lock_wait_s,
            locks=tuple(table for table in locks if table not in created),
        )
        self.sink.emit(
            Event(
                what=Happening.APPLIED,
                version=applied.version,
                label=applied.label,
                text="applied",
                applied=applied,
            )
        )
        return applied

    # --- the session ---------------------------------------------------------------------------------------------

    def fresh_session(self) -> None:
        """Nothing of the file before crosses over; timeouts are ours or the file's."""
        wanted = (
            self.duration("lock-timeout", self.limits.lock_timeout_s),
            self.duration("statement-timeout", self.limits.statement_timeout_s),
        )
        if self.pooled:
            self.settings = wanted
            return
        if self.session.dirty:
            self.session.run(["DISCARD ALL"])
            self.session.dirty, self.settings, self.prepared = False, None, False
        if self.settings != wanted:
            settings = prelude(
                server_version=self.server_version,
                local=False,
                lock_timeout_ms=int(wanted[0] * 1000),
                statement_timeout_ms=int(wanted[1] * 1000),
            )
            prepare = [lease.prepare_fence(self.ledger, self.author.run_id), self.ledger.prepare_record]
            self.session.run([*settings, *([] if self.prepared else prepare)])
            self.settings, self.prepared = wanted, True

    def duration(self, directive: str, default_s: float) -> float:
        """A file's own limit in seconds, or the default."""
        found = self.migration.directive(directive)
        return seconds(found.value) if found else default_s

    def replay(self, done: Sequence[Step]) -> None:
        """Settings and temporary objects that the steps of an earlier run left for those that follow."""
        for step, statements in replay.again(done):
            self.session.dirty = True
            try:
                self.run_again(statements, alone=step.mode is Mode.ALONE)
            except BatchFailed as failed:
                self.session_after()
                why = f"what step {step.number} had left in the session cannot be made again"
                place = statements[0].place
                raise statement_failed(self.migration, failed.error, self.text, place, why) from None

    def run_again(self, statements: Sequence[Statement], *, alone: bool) -> None:
        """Statements whose effect is the session's, in a transaction as when they ran first."""
        if not alone:
            self.send(ours(["BEGIN"]))
        for each in statements:
            if each.copy_data is None:
                self.send(ours([each.text]))  # as if it were ours: what the server says to it was shown before
            else:
                self.copy(each, each.text)
        if not alone:
            self.send(ours(["COMMIT"]))

    # --- a transaction -------------------------------------------------------------------------------------------

    def run_transaction(self, step: Step, planned: PlannedMigration) -> None:
        """A step in one transaction with its record: both happen, or neither does."""
        if step.journaled_first:
            self.write(
                tables.journal(
                    self.ledger,
                    self.author,
                    "started",
                    version=step.version,
                    step=step,
                    statement=step.statements[0].text,
                ),
                durable=True,
            )
        attempt = 0
        while True:
            self.watch.attend(self.migration.label)
            began = time.monotonic()
            try:
                self.attempt(step, planned)
            except BatchFailed as failed:
                self.session_after()
                self.tried(step, failed, attempt, time.monotonic() - began)
            else:
                self.tally.lock_wait_s += self.watch.blocked_s
                return
            attempt += 1

    def attempt(self, step: Step, planned: PlannedMigration) -> None:
        """Try a step's transaction once. Raises BatchFailed."""
        opening = self.opening(step)
        items = [item for item in step.items if not self.is_ledger_creation(item)]
        if fits_one_batch(items):
            statements = [item for item in items if isinstance(item, Statement)]
            sent = [*ours(opening), *marked(statements), *ours(self.closing(step, planned))]
            for (_, statement), result in zip(sent, self.send(sent), strict=True):
                if statement is not None:
                    self.show([result], statement)
        else:
            self.send(ours(opening))
            for number, item in enumerate(items, 1):
                if isinstance(item, Quit) and self.variables.allow(item.guards):
                    break
                self.progress(number, len(items))
                self.perform(item)
            self.send(ours(self.closing(step, planned)))  # only now: its record keeps what \\gset has set
        if step.recorded_after:
            self.write(self.record(step, planned))

    def progress(self, number: int, count: int) -> None:
        """How far a step is that is sent statement by statement."""
        text = f"statement {number} of {count}"
        self.sink.emit(
            Event(what=Happening.PROGRESS, label=self.migration.label, text=text, fraction=(number - 1) / count)
        )

    def send(self, pairs: Sequence[tuple[str, Statement | None]]) -> list[Rows]:
        """Send SQL as one simple query; each text with the file's statement that it is, or None when it is ours."""
        self.sent = tuple(statement for _, statement in pairs)
        try:
            return self.session.run([text for text, _ in pairs])
        except BatchFailed as failed:
            failed.sent = self.sent
            raise

    def opening(self, step: Step) -> list[str]:
        """What comes before a step's statements in its transaction."""
        statements = [step.begin.text if step.begin else "BEGIN"]
        if self.pooled:
            lock_s, statement_s = self.settings or (self.limits.lock_timeout_s, 0.0)
            statements += prelude(
                server_version=self.server_version,
                local=True,
                lock_timeout_ms=int(lock_s * 1000),
                statement_timeout_ms=int(statement_s * 1000),
            )
        if not sets_transaction(step):
            statements.append(f"EXECUTE {lease.PREPARED_FENCE}" if self.usable(step) else self.fence)
        return [*statements, f"SET LOCAL ROLE {recovery.path_of(self.role, '')}"] if self.role else statements

    def closing(self, step: Step, planned: PlannedMigration) -> list[str]:
        """What comes after them: the record, and the fence when it could not stand at the beginning."""
        if step.recorded_after:
            return ["ROLLBACK" if step.rolled_back else "COMMIT"]
        statements = ["SET LOCAL ROLE NONE"] if self.role or step.session else []
        if self.pooled and step.session:
            statements += ["RESET ALL", "SELECT pg_catalog.pg_advisory_unlock_all()"]
        if sets_transaction(step):
            statements.append(self.fence)
        if writes_ledger(step, self.ledger.table):
            statements.append(tables.only_own_row(self.ledger, step.version, self.rows))
        return [*statements, self.record(step, planned), "COMMIT"]

    def record(self, step: Step, planned: PlannedMigration) -> str:
        """SQL for a step's record: the ledger row when it is the last one, a line in the journal otherwise."""
        waited = int((self.tally.lock_wait_s + self.watch.blocked_s) * 1000)
        if step.number == len(planned.steps):
            earlier = int((time.monotonic() - self.tally.started) * 1000) if len(planned.steps) > 1 else 0
            return tables.record(
                self.ledger,
                self.migration,
                planned.script,
                step,
                self.author,
                earlier_ms=earlier,
                lock_wait_ms=waited,
                prepared=self.usable(step),
            )
        detail = {"variables": self.variables.values} if self.variables.values else None
        return tables.journal(
            self.ledger,
            self.author,
            "done",
            version=step.version,
            step=step,
            lock_wait_ms=waited,
            detail=detail,
        )

    def usable(self, step: Step) -> bool:
        """Whether the prepared statements are there for a step: nothing of its file may have discarded them."""
        return self.prepared and not self.session.dirty and not step.session

    def is_ledger_creation(self, item: Item) -> bool:
        """CREATE TABLE schema_migrations in a file: it was made before, with the file's own columns."""
        return (
            isinstance(item, Statement)
            and not item.facts.guarded
            and any(
                each.kind == "table" and each.name == self.ledger.table and each.schema in ("", self.ledger.schema)
                for each in item.facts.creates
            )
        )

    def tried(self, step: Step, failed: BatchFailed, attempt: int, took_s: float) -> None:
        """After a failed attempt: return when it is to be tried again, raise otherwise."""
        statement = failed.sent[failed.index] if failed.index < len(failed.sent) else None
        place = (
            statement.place
            if statement
            else (step.begin or step.statements[0]).place
            if step.statements
            else Place(self.migration.path, 1)
        )
        state = failed.error.diag.sqlstate
        if self.watch.lost or lease.LOST in str(failed.error):
            raise lease.LeaseLost from None
        if tables.FOREIGN_ROWS in str(failed.error):
            raise failures.ForeignLedgerRow(self.migration, place, "a version other than its own") from None
        if state in PASSING:
            self.tally.lock_wait_s += took_s
            self.patience.spend(took_s)
            if self.patience.pause(backoff(attempt)):
                return
            self.note_failure(step, failed, statement)
            if state == "55P03":
                table = statement.facts.locks[0].table if statement and statement.facts.locks else ""
                raise failures.LockNotHad(
                    self.migration, place, self.tally.lock_wait_s, self.watch.blockers, table
                ) from None
            raise failures.Conflict(self.migration, place, failed.error.diag.message_primary or "") from None
        self.note_failure(step, failed, statement)
        raise self.fault(step, failed, statement, place) from None

    def fault(self, step: Step, failed: BatchFailed, statement: Statement | None, place: Place) -> Exception:
        """What a person is told of a failed statement."""
        remains = (
            "nothing of it remains"
            if step.number == 1 and step.mode is not Mode.ALONE
            else (
                f"its steps 1 to {step.number - 1} stay, nothing of step {step.number} remains"
                if step.mode is not Mode.ALONE
                else f"step {step.number} ran outside of a transaction"
            )
        )
        if statement is None:
            before = next((each for each in reversed(failed.sent[: failed.index]) if each), None)
            at = before.place if before else place
            return statement_failed(
                self.migration, failed.error, self.text, at, f"{remains} (at COMMIT)" if before else remains
            )
        offset = len(self.session.tag) + sum(len(text) + 2 for text in failed.texts[: failed.index])
        at = place_of(failed.error, statement, offset)
        near = catalog.similar(self.session.conn, failed.error)
        return statement_failed(self.migration, failed.error, self.text, at, remains, near)

    def session_after(self) -> None:
        """Bring the session back after an error."""
        self.session.rollback()

    def note_failure(
        self,
        step: Step,
        failed: BatchFailed,
        statement: Statement | None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """A line in the journal about a failure; the connection is whole, the transaction rolled back."""
        diag = failed.error.diag
        detail = {
            "sqlstate": diag.sqlstate,
            "message": diag.message_primary,
            "detail": diag.message_detail,
            "hint": diag.message_hint,
            "place": str(statement.place) if statement else None,
            "output": self.tally.output or None,
            "evidence": evidence,
        }
        event = "failed" if step.mode is Mode.ALONE or step.journaled_first else "refused"
        self.write(
            tables.journal(
                self.ledger,
                self.author,
                event,
                version=step.version,
                step=step,
                statement=statement.text if statement else None,
                lock_wait_ms=int(self.tally.lock_wait_s * 1000),
                detail={name: value for name, value in detail.items() if value},
            )
        )

    # --- a statement of its own ----------------------------------------------------------------------------------

    def run_alone(self, step: Step, planned: PlannedMigration) -> None:
        """A statement that no transaction may hold: journaled before, recorded after."""
        [statement] = step.statements
        if not self.variables.allow(statement.guards):
            self.write(self.record(step, planned))
            return
        for repair in recovery.before_start(self.session.conn, statement):
            self.sink.emit(
                Event(
                    what=Happening.RECOVERED,
                    label=self.migration.label,
                    place=statement.place,
                    text="an invalid index of that name is there, which IF NOT EXISTS would hide; dropping it and building it again",
                )
            )
            self.session.run([repair])
        known = recovery.evidence(self.session.conn, statement)
        self.write(
            tables.journal(
                self.ledger,
                self.author,
                "started",
                version=step.version,
                step=step,
                statement=statement.text,
                detail={"evidence": known},
            ),
            durable=step.external,
        )
        self.check_alive()
        self.send_alone(step, statement, known)
        self.write(self.record(step, planned))

    def send_alone(self, step: Step, statement: Statement, known: Mapping[str, Any]) -> None:
        """Send it, with the limits that suit it; clean up when it fails."""
        snapshots = recovery.waits_for_snapshots(statement.facts)
        self.watch.attend(
            self.migration.label,
            self.duration("build-limit", self.limits.build_limit_s) if snapshots else None,
        )
        settings = ["SET lock_timeout = 0"] if snapshots else []
        if self.role:
            settings.append(f"SET ROLE {recovery.path_of(self.role, '')}")
        for setting in settings:
            self.session.run([setting])
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                self.perform(statement)
                break
            except BatchFailed as failed:
                self.session_after()
                self.clean_up(statement, known)
                self.tried_alone(step, statement, failed, attempt, time.monotonic() - began, known)
                attempt += 1
        self.tally.lock_wait_s += self.watch.blocked_s
        lock_s, _ = self.settings or (self.limits.lock_timeout_s, 0.0)
        for setting in (["RESET ROLE"] if self.role else []) + (
            [f"SET lock_timeout = {int(lock_s * 1000)}"] if snapshots else []
        ):
            self.session.run([setting])

    def tried_alone(
        self,
        step: Step,
        statement: Statement,
        failed: BatchFailed,
        attempt: int,
        took_s: float,
        known: Mapping[str, Any],
    ) -> None:
        """After a failed attempt outside of a transaction: return when nothing was changed and it may be tried again."""
        if self.watch.lost:
            raise lease.LeaseLost from None
        if self.watch.cancelled or failed.error.diag.sqlstate == "55P03":
            self.tally.lock_wait_s += took_s
            self.patience.spend(took_s if not self.watch.cancelled else self.patience.left_s)
            if statement.facts.kind not in (Kind.CODE, Kind.UNKNOWN) and self.patience.pause(backoff(attempt)):
                return
            self.note_failure(step, failed, statement, known)
            table = statement.facts.creates[0].parent if statement.facts.creates else ""
            raise failures.LockNotHad(
                self.migration, statement.place, self.tally.lock_wait_s, self.watch.blockers, table
            ) from None
        self.note_failure(step, failed, statement, known)
        raise self.fault(step, failed, statement, statement.place) from None

    def clean_up(self, statement: Statement, known: Mapping[str, Any]) -> None:
        """Drop what a failed index build left behind, when that needs no queueing; the next run does it otherwise."""
        cancelled, blockers = self.watch.cancelled, self.watch.blockers
        for repair in recovery.leftover_indexes(self.session.conn, known):
            self.watch.attend(self.migration.label)
            try:
                self.session.run(["BEGIN", "SET LOCAL lock_timeout = '500ms'", repair, "COMMIT"])
                done = f"cleaned up: {repair}"
            except BatchFailed as failed:
                self.session_after()
                done = f"left for the next run: {repair} ({failed.error.diag.message_primary})"
            self.sink.emit(
                Event(what=Happening.RECOVERED, label=self.migration.label, place=statement.place, text=done)
            )
        self.watch.cancelled, self.watch.blockers = cancelled, blockers

    def settled(self, step: Step, record: Any, planned: PlannedMigration) -> bool:
        """Deal with a step that an earlier run started. True when it needs no run."""
        if step.mode is not Mode.ALONE:
            outside = [each for each in step.statements if each.facts.external and not each.facts.rerunnable]
            if outside:
                raise OutcomeUnknown(
                    self.migration,
                    step,
                    step.statements[0].place,
                    record.at,
                    "it has effects that no rollback undoes",
                    step.statements[0].text,
                )
            return False
        [statement] = step.statements
        finding = recovery.judge(self.session.conn, statement, record.evidence, failed=record.outcome is Outcome.FAILED)
        if finding.verdict is recovery.Verdict.ASK:
            raise OutcomeUnknown(
                self.migration,
                step,
                statement.place,
                record.at,
                finding.why,
                caret(self.text, statement.place),
            )
        self.sink.emit(
            Event(
                what=Happening.RECOVERED,
                label=self.migration.label,
                place=statement.place,
                text=f"{self.migration.label} was cut off{f' on {record.at:%Y-%m-%d %H:%M %Z}' if record.at else ''}. {finding.why}",
            )
        )
        for repair in finding.repairs:
            self.session.run([repair])
        self.write(
            tables.journal(
                self.ledger,
                self.author,
                "recovered",
                version=step.version,
                step=step,
                detail={"why": finding.why},
            )
        )
        if finding.verdict is recovery.Verdict.DONE:
            self.write(self.record(step, planned))
            return True
        return False

    # --- single statements ---------------------------------------------------------------------------------------

    def perform(self, item: Item) -> None:
        """Run one item of a script by itself: COPY data, variables and echoes included."""
        if not self.variables.allow(item.guards):
            return
        if isinstance(item, Statement):
            text = self.variables.fill(item.pieces) if item.pieces else item.text
            self.after(item, [self.copy(item, text)] if item.copy_data is not None else self.send([(text, item)]))
        elif isinstance(item, Echo):
            self.say(
                Happening.ECHO,
                self.variables.fill(item.parts),
                item.place,
                severity="WARNING" if item.warning else "",
            )
        elif not isinstance(item, Quit):
            if item.parts is None:
                self.variables.values.pop(item.name, None)
            else:
                self.variables.values[item.name] = self.variables.fill(item.parts)

    def copy(self, statement: Statement, text: str) -> Rows:
        """COPY … FROM STDIN with the data that follows it in the file."""
        self.sent = (statement,)
        try:
            return self.session.copy(text, statement.copy_data or "")
        except BatchFailed as failed:
            failed.sent = self.sent
            raise

    def after(self, statement: Statement, results: Sequence[Rows]) -> None:
        """What is done with a statement's result: \\gset, \\gexec, or it is shown."""
        if statement.ending is Ending.GSET:
            self.keep(statement, results[-1])
        elif statement.ending is Ending.GEXEC:
            for row in results[-1].rows:
                for cell in row:
                    if cell is not None:
                        self.send([(cell, statement)])
        else:
            self.show(results, statement)

    def keep(self, statement: Statement, result: Rows) -> None:
        """\\gset: exactly one row becomes variables."""
        if len(result.rows) != 1:
            raise failures.StatementFailed(
                self.migration,
                statement.place,
                "\\gset wants one row",
                sqlstate="",
                detail=f"{caret(self.text, statement.place)}\nthe query returned {len(result.rows)} rows",
                hint="make the query return exactly one row (LIMIT 1, an aggregate)",
            )
        for name, value in zip(result.columns, result.rows[0], strict=True):
            if value is None:
                self.variables.values.pop(statement.gset_prefix + name, None)
            else:
                self.variables.values[statement.gset_prefix + name] = value

    def show(self, results: Sequence[Rows], statement: Statement) -> None:
        """Result rows go to whoever watches, and into the journal."""
        for result in results:
            if result.rows:
                shown = (result.columns, *result.rows[:SHOWN_ROWS])
                table = "\n".join(" | ".join("" if cell is None else cell for cell in row) for row in shown)
                hidden = len(result.rows) - SHOWN_ROWS
                more = f"\n… {hidden} more rows" if hidden > 0 else ""
                self.say(Happening.ROWS, table[:4000] + more, statement.place)

    def notice(self, diag: Any) -> None:
        """The server said something while a statement ran."""
        severity = diag.severity_nonlocalized or diag.severity or "NOTICE"
        # libpq reads a notice before it hands out the result in front of it, so one that seems to belong to a
        # statement of ours belongs to the next of the file; `marked` puts one of ours between any two of these.
        statement = next((each for each in self.sent[self.session.index :] if each is not None), None)
        if statement is None:
            return
        text = diag.message_primary or ""
        if diag.message_detail:
            text += f" ({diag.message_detail})"
        self.say(Happening.NOTICE, text, statement.place, severity=severity)

    def say(self, what: Happening, text: str, place: Place | None, *, severity: str = "") -> None:
        """Tell whoever watches, and keep it for the journal."""
        self.sink.emit(
            Event(
                what=what,
                text=text,
                version=self.migration.version,
                label=self.migration.label,
                place=place,
                severity=severity,
            )
        )
        if len(self.tally.output) < 200:
            self.tally.output.append({"kind": severity or what.value, "place": str(place or ""), "text": text[:2000]})

    # --- the journal ---------------------------------------------------------------------------------------------

    def write(self, record: str, *, durable: bool = False) -> None:
        """Commit one record by itself, as the holder of the lease. `durable` waits for the disk."""
        statements = [
            "BEGIN",
            "SET LOCAL ROLE NONE",
            f"SET LOCAL synchronous_commit = {'on' if durable else 'off'}",
            "SET LOCAL lock_timeout = 0",
            self.fence,
            record,
            "COMMIT",
        ]
        try:
            self.send(ours(statements))
        except BatchFailed as failed:
            self.session_after()
            if lease.LOST in str(failed.error):
                raise lease.LeaseLost from None
            place = Place(self.migration.path, 1)
            why = "its record could not be written"
            raise statement_failed(self.migration, failed.error, {}, place, why) from None

    def flush_output(self) -> None:
        """Notices and rows of a migration, as a line of the journal."""
        if self.tally.output:
            self.write(
                tables.journal(
                    self.ledger,
                    self.author,
                    "output",
                    version=self.migration.version,
                    detail={"output": self.tally.output},
                )
            )

    def check_alive(self) -> None:
        """Start nothing outside of a transaction when another run may have taken over."""
        if self.watch.lost or time.monotonic() - self.watch.alive_at > lease.LIFETIME_S - lease.MARGIN_S:
            raise lease.LeaseLost


def ours(statements: Sequence[str]) -> list[tuple[str, Statement | None]]:
    """SQL of our own, for `Executor.send`."""
    return [(text, None) for text in statements]


def marked(statements: Sequence[Statement]) -> list[tuple[str, Statement | None]]:
    """The file's statements with an empty SELECT between any two, so that each notice can be told apart."""
    pairs: list[tuple[str, Statement | None]] = []
    for statement in statements:
        pairs += [("SELECT", None), (statement.text, statement)] if pairs else [(statement.text, statement)]
    return pairs


def fits_one_batch(items: Sequence[Item]) -> bool:
    """True when a step can be sent as one simple query: plain statements, not too many."""
    return (
        len(items) <= BATCH_STATEMENTS
        and all(
            isinstance(item, Statement)
            and not item.runtime
            and item.copy_data is None
            and item.ending is not Ending.GSET
            and item.facts.sets != "standard_conforming_strings"
            for item in items
        )
        and sum(len(item.text) for item in items if isinstance(item, Statement)) <= BATCH_CHARACTERS
    )


def sets_transaction(step: Step) -> bool:
    """SET TRANSACTION must come before any query of its transaction, and so before the fence."""
    return any(each.facts.sets == "transaction" for each in step.statements) or (
        step.begin is not None and len(step.begin.text.split()) > 1
    )


def writes_ledger(step: Step, table: str) -> bool:
    """True when a step may touch ledger rows: it names the table, or nobody knows what it does."""
    return any(
        each.runtime or each.facts.session or each.facts.kind in (Kind.UNKNOWN, Kind.CODE) or table in each.text
        for each in step.statements
    )


def kind_of(planned: PlannedMigration) -> str:
    """`1 transaction · 2 statements`: how a migration will run."""
    statements = sum(len(step.statements) for step in planned.steps)
    alone = sum(step.mode is Mode.ALONE for step in planned.steps)
    words = []
    if transactions := len(planned.steps) - alone:
        words.append(f"{transactions} transaction" + ("s" if transactions > 1 else ""))
    if alone:
        words.append("alone" if alone == 1 else f"{alone} alone")
    return " · ".join([*words, f"{statements} statement" + ("" if statements == 1 else "s")])
