"""One run's turn as the holder of the lease: what its parts share, and the records that it writes."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.core.given import NOTHING, Given
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Event, Happening
from tidelock.core.source import seconds
from tidelock.core.statement import Ending
from tidelock.core.step import Mode
from tidelock.postgres import lease, records
from tidelock.postgres.failures import StatementFailed, row_refused, statement_failed
from tidelock.postgres.hidden import Hidden, may_catch
from tidelock.postgres.ledger import literal
from tidelock.postgres.session import BatchFailed, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from psycopg.pq.abc import PGresult

    from tidelock.app.patience import Patience
    from tidelock.app.ports import Sink, StepHooks
    from tidelock.core.model import Migration, PlannedMigration
    from tidelock.core.snapshot import Snapshot
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.postgres.ledger import Ledger
    from tidelock.postgres.limits import Limits
    from tidelock.postgres.records import Author
    from tidelock.postgres.session import Rows, Session
    from tidelock.postgres.watch import Watch

    Pairs = Sequence[tuple[str, Statement | None]]
    Hooks = Callable[["Turn", Sequence[PlannedMigration]], Sequence[StepHooks]]
    """Who looks on at the steps of a run, given what it is to run."""


AS_CONNECTED = ("SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET LOCAL ROLE NONE")
"""The ledger is written as the role that connected, whatever a file has made of the session."""

BLIND_S = 5.0
"""How long after all patience the server ends a wait that nobody has ended."""
LOCK_TIMEOUT = regex(r"lock_timeout", re.IGNORECASE)

STARTS_WITH = regex(r"\bALTER\s+(?:DATABASE|ROLE|USER)\b", re.IGNORECASE)
"""What changes the settings that a session starts with. Comments between the words are nobody's habit."""

ROLES = """
SELECT quote_ident(session_user),
       CASE current_setting('role') WHEN 'none' THEN 'NONE' ELSE quote_ident(current_user) END"""


@dataclass(slots=True)
class Tally:
    """What adds up over the steps of one migration."""

    started: float = field(default_factory=time.monotonic)
    written: float = field(default_factory=time.monotonic)
    """When the last record of its own transaction was committed: before a lone statement that is its start."""
    lock_wait_s: float = 0.0
    output: list[dict[str, object]] = field(default_factory=list)
    """Notices and rows, for the journal."""


@dataclass(slots=True)
class Turn:
    """Session, ledger, watch and limits of a run, and the migration at hand."""

    session: Session
    ledger: Ledger
    author: Author
    watch: Watch
    patience: Patience
    sink: Sink
    limits: Limits
    role: str | None
    pooled: bool
    server_version: int
    connect: Callable[[], psycopg.Connection[tuple[object, ...]]]
    """Opens another connection to the same server."""
    versions: set[int]
    """What the ledger has: a file that adds, removes or renumbers another version's row is found by comparing."""
    planned: PlannedMigration | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """psql variables that the migration at hand has set."""
    tally: Tally = field(default_factory=Tally)
    sent: tuple[Statement | None, ...] = ()
    """For each text of the query that runs now the statement of the file that it is; None for ours."""
    made: str = ""
    """The last statement that \\gexec has sent outside of a transaction, and how many before it."""
    made_evidence: Mapping[str, Any] = field(default_factory=dict)
    """What was there before it, for the journal and for repairs."""
    settings: tuple[float, float] | None = None
    """(lock_timeout, statement_timeout) of the session in seconds; None when they are to be set anew."""
    prepared: bool = False
    """Fence and record are prepared statements of the session; false where a file may have removed them."""
    read_only: bool = False
    """The transaction at hand is READ ONLY, because the file has made that the session's default."""
    own_timeout: bool | None = None
    """The migration at hand has a lock_timeout of its own; None while nobody has asked."""
    named: Sequence[str] | None = None
    """Names in the migration at hand that may be settings of the user's own; None while nobody has looked."""
    hidden: Hidden = field(default_factory=Hidden)
    """Where the database may run code that no file shows."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Extension → version, as the run found them."""
    hooks: Sequence[StepHooks] = ()
    """Who looks on, statement by statement."""
    given: Given = NOTHING
    """Variables whose values neither the journal nor anybody who watches gets."""
    fence: str = field(init=False)
    """SQL that holds the lease until its transaction ends; the same for the whole run."""

    def __post_init__(self) -> None:
        self.fence = lease.fence(self.ledger, self.author.run_id)

    @property
    def plan(self) -> PlannedMigration:
        """The migration at hand, with its steps."""
        assert self.planned is not None, "no migration is at hand"
        return self.planned

    @property
    def migration(self) -> Migration:
        """The migration at hand."""
        return self.plan.migration

    @property
    def sources(self) -> Mapping[str, str]:
        """Path → text of the files that the migration at hand was read from."""
        return self.plan.script.sources

    def begin(self, planned: PlannedMigration) -> None:
        """Take up a migration."""
        self.planned, self.tally, self.variables = planned, Tally(), dict(planned.variables)
        self.made, self.made_evidence = "", {}
        self.read_only, self.own_timeout, self.named = False, None, None

    def duration(self, directive: str, default_s: float) -> float:
        """A file's own limit in seconds, or the default."""
        found = self.migration.directive(directive)
        return seconds(found.value) if found else default_s

    @property
    def lock_timeout_s(self) -> float:
        """How long one attempt queues for a lock; 0 is no limit but patience."""
        return self.settings[0] if self.settings else self.limits.lock_timeout_s

    def lock_timeout_ms(self, step: Step) -> int:
        """The server's own limit for a step. Where code may catch its error it comes into play only when the watch
        cannot look (no connection is left for it): the watch ends the attempt long before."""
        if not (self.catches(step) and self.lock_timeout_s):
            return int(self.lock_timeout_s * 1000)
        return int((max(self.patience.left_s, self.lock_timeout_s) + BLIND_S) * 1000)

    def attend(self, step: Step | None = None, *, snapshots: bool = False) -> None:
        """A new attempt begins. The watch ends its waits with patience: a file may have taken lock_timeout away.

        `snapshots`: it waits for old snapshots too, which has a limit of its own.
        """
        if snapshots:
            self.watch.attend(self.migration.label, self.duration("build-limit", self.limits.build_limit_s))
            return
        attempt_s = self.lock_timeout_s or None if step and self.catches(step) else None
        self.watch.attend(self.migration.label, max(self.patience.left_s, self.limits.lock_timeout_s), attempt_s)

    def put_lock_timeout_by(self, milliseconds: int) -> str:
        """Give the session another lock_timeout: the SQL that brings back what it had, the file's own perhaps."""
        [[before]] = self.session.run(["SHOW lock_timeout"])[0].rows
        self.session.run([f"SET lock_timeout = {milliseconds}"])
        return f"SET lock_timeout = {literal(before)}"

    def catches(self, step: Step) -> bool:
        """Code that the step may run could catch the error of lock_timeout, and go on without what it waited for.

        So it gets none that would come first, and the watch cancels what has waited as long: of that error `EXCEPTION
        WHEN OTHERS` does not know. Not where the file sets lock_timeout.
        """
        if not any(map(may_catch, step.statements)) and not self.hidden.behind(step):
            return False
        if self.own_timeout is None:
            self.own_timeout = any(LOCK_TIMEOUT.search(each.text) for each in self.plan.script.statements)
        return not self.own_timeout

    def lock_not_had(self, failed: BatchFailed) -> bool:
        """It failed because a lock was not to be had: lock_timeout passed, or the watch cancelled it."""
        sqlstate = failed.error.diag.sqlstate
        return sqlstate == "55P03" or (sqlstate == "57014" and self.watch.cancelled)

    def waited(self, seconds: float) -> None:
        """Count an attempt's time as waiting. One that the watch ended for good has used all patience up."""
        self.tally.lock_wait_s += seconds
        for_good = self.watch.cancelled and self.watch.attempt_s is None
        self.patience.spend(max(seconds, self.patience.left_s) if for_good else seconds)

    def leaves(self, step: Step) -> bool:
        """Whether a step may leave something in the session: by what it says, or by code that it sets off."""
        return step.session or self.hidden.behind(step)

    def changes_defaults(self, step: Step) -> bool:
        """Whether a step may change what database or role set in a session when it starts."""
        return self.leaves(step) or any(STARTS_WITH.search(each.text) for each in step.statements)

    @property
    def defaults_to_read_only(self) -> bool:
        """The session's transactions are READ ONLY unless they say otherwise. From 14 on the server tells by itself."""
        said = self.session.conn.info.parameter_status("default_transaction_read_only")
        if said is None:
            said = str(self.run(ours(["SHOW default_transaction_read_only"]))[0].rows[0][0])
        return said == "on"

    def recorded_after(self, step: Step) -> bool:
        """Its transaction cannot hold the record, by what the step says or by the session's default."""
        return step.recorded_after or (self.read_only and not step.writable)

    def usable(self, step: Step) -> bool:
        """Whether the prepared statements are there for a step: nothing of its file may have discarded them."""
        return self.prepared and not self.session.dirty and not self.leaves(step)

    # --- those who look on: this is their Scene ----------------------------------------------------------------------

    @property
    def conn(self) -> psycopg.Connection[tuple[object, ...]]:
        """The connection that statements are sent through."""
        return self.session.conn

    def snapshot(self) -> Snapshot:
        """The schema as that connection sees it now."""
        from tidelock.postgres.snapshot import take

        return take(self.session.conn)

    def looking(self, step: Step) -> list[StepHooks]:
        """Who looks on at a step."""
        return [each for each in self.hooks if each.attends(step)]

    def show(self, moment: str, step: Step) -> None:
        """Let them see a moment of a step: the name of a method of StepHooks. Raises as `looked_on`."""
        with self.looked_on():
            for each in self.looking(step):
                getattr(each, moment)(step)

    @contextmanager
    def looked_on(self) -> Iterator[None]:
        """What fails while they look counts as a failure of the step: BatchFailed, or ConnectionLost."""
        try:
            yield
        except psycopg.Error as error:
            self.session.lost_if_fatal(error)
            raise BatchFailed(0, 0, error, ()) from None

    def query(self, statements: Sequence[str]) -> None:
        """SQL of theirs, sent as the run sends its own."""
        self.run(ours(statements))

    def note(self, event: str, detail: Mapping[str, object]) -> None:
        """A line in the journal about the migration at hand: of the open transaction, or committed at once."""
        line = records.journal(self.ledger, self.author, event, version=self.migration.version, detail=detail)
        if self.session.in_transaction:
            with self.as_connected():
                self.run(ours([line]))
        else:
            self.write(line)

    def noted(self, event: str) -> list[tuple[int, str, dict[str, Any]]]:
        """(version, run, detail) of such lines, oldest first."""
        if self.session.in_transaction:
            with self.as_connected():
                return records.noted(self.session.conn, self.ledger, event)
        with self.session.conn.transaction():
            self.run(ours(AS_CONNECTED))
            return records.noted(self.session.conn, self.ledger, event)

    @contextmanager
    def as_connected(self) -> Iterator[None]:
        """In the open transaction: the file, or the target, may have taken a role without a right to the journal."""
        [(user, role)] = self.run(ours([ROLES]))[0].rows
        self.run(ours(AS_CONNECTED))
        yield
        self.run(ours([f"SET LOCAL SESSION AUTHORIZATION {user}", f"SET LOCAL ROLE {role}"]))

    def pause(self, seconds: float) -> bool:
        """Wait, at the expense of patience."""
        return self.patience.pause(seconds)

    # --- sending and telling -------------------------------------------------------------------------------------

    def run(self, pairs: Pairs) -> list[Rows]:
        """Send SQL, and wait for what each statement returns. Raises as `results` does."""
        self.send(pairs)
        return [rows_of(result) for result in self.results()]

    def send(self, pairs: Pairs) -> None:
        """Send SQL as one simple query; each text with the file's statement that it is, or None when it is ours."""
        self.sent = tuple(statement for _, statement in pairs)
        self.session.send([text for text, _ in pairs])

    def results(self) -> list[PGresult]:
        """What libpq says to each of them. Raises BatchFailed, which knows the statements too."""
        try:
            return self.session.results()
        except BatchFailed as failed:
            failed.sent = self.sent
            raise

    def tell(self, what: Happening, text: str, place: Place | None = None, **more: Any) -> None:
        """An event about the migration at hand."""
        migration = self.migration
        self.sink.emit(
            Event(what=what, text=text, version=migration.version, label=migration.label, place=place, **more)
        )

    def check_alive(self) -> None:
        """Start nothing outside of a transaction when another run may have taken over."""
        if self.watch.lost or time.monotonic() - self.watch.alive_at > lease.LIFETIME_S - lease.MARGIN_S:
            raise lease.LeaseLost

    # --- records -------------------------------------------------------------------------------------------------

    def record(self, step: Step) -> str:
        """SQL for a step's record: the ledger row when it is the last one, a line in the journal otherwise."""
        waited = int((self.tally.lock_wait_s + self.watch.blocked_s) * 1000)
        steps, alone = self.plan.steps, step.mode is Mode.ALONE
        apart = alone or self.recorded_after(step)
        if step.number == len(steps):
            return records.record(
                self.ledger,
                self.migration,
                self.plan.script,
                step,
                self.author,
                earlier_ms=milliseconds_since(self.tally.started) if len(steps) > 1 or apart else 0,
                lock_wait_ms=waited,
                prepared=self.usable(step),
            )
        detail = {"variables": self.variables} if self.variables else None
        took = milliseconds_since(self.tally.written) if alone else None
        return self.line("done", step, duration_ms=took, timed=not apart, lock_wait_ms=waited, detail=detail)

    def line(self, event: str, step: Step, **columns: Any) -> str:
        """SQL for a line in the journal about a step."""
        return records.journal(
            self.ledger, self.author, event, version=step.version, step=step, **self.given.hidden_in(columns)
        )

    def only_own_row(self, step: Step) -> str:
        """SQL that fails when a step has touched a ledger row of another version."""
        return records.only_own_row(self.ledger, step.version, self.versions)

    def own_row(self, step: Step) -> list[str]:
        """SQL that notes a ledger row that the file has written while more of it is to come."""
        return [] if step.number == len(self.plan.steps) else [records.own_row(self.ledger, self.author, step)]

    def write(self, record: str, *, durable: bool = False, provided: Sequence[str] = ()) -> None:
        """Commit one record by itself, as the holder of the lease, `provided` that this SQL does not fail.

        `durable` waits for the disk. What was done is to be recorded, however long that waits.
        """
        self.watch.limit_s = self.watch.attempt_s = None
        statements = [
            "BEGIN READ WRITE",
            *AS_CONNECTED,
            f"SET LOCAL synchronous_commit = {'on' if durable else 'off'}",
            "SET LOCAL lock_timeout = 0",
            self.fence,
            *provided,
            record,
            "COMMIT",
        ]
        try:
            self.run(ours(statements))
        except BatchFailed as failed:
            self.session.rollback()
            if lease.LOST in str(failed.error):
                raise lease.LeaseLost from None
            if records.FOREIGN_ROWS in str(failed.error):
                raise
            if refused := row_refused(self, failed.error):
                raise refused from None
            place = Place(self.migration.path, 1)
            why = "its record could not be written"
            raise statement_failed(self.migration, failed.error, {}, place, why) from None
        self.tally.written = time.monotonic()

    def note_failure(
        self, step: Step, failed: BatchFailed, statement: Statement | None, evidence: Mapping[str, Any] | None = None
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
        known = {name: value for name, value in detail.items() if value}
        event = "failed" if step.mode is Mode.ALONE or step.journaled_first else "refused"
        waited = int(self.tally.lock_wait_s * 1000)
        text = statement.shown if statement else None
        if statement and statement.ending is Ending.GEXEC:
            text = self.made or text
        with self.kept_if_possible():
            self.write(self.line(event, step, statement=text, lock_wait_ms=waited, detail=known))

    def note_output(self) -> None:
        """Notices and rows of the migration, as a line of the journal."""
        if self.tally.output:
            detail = self.given.hidden_in({"output": self.tally.output})
            version = self.migration.version
            with self.kept_if_possible():  # the migration itself is committed
                self.write(records.journal(self.ledger, self.author, "output", version=version, detail=detail))

    @contextmanager
    def kept_if_possible(self) -> Iterator[None]:
        """A line of the journal that nothing depends on: the database's encoding may lack letters of it."""
        try:
            yield
        except StatementFailed as failed:
            self.tell(Happening.NOTE, f"what it said could not be kept in the journal: {failed.detail}")


def milliseconds_since(moment: float) -> int:
    """How long ago a moment of time.monotonic was."""
    return int((time.monotonic() - moment) * 1000)


def ours(statements: Sequence[str]) -> list[tuple[str, Statement | None]]:
    """SQL of our own, for `Turn.send`."""
    return [(text, None) for text in statements]
