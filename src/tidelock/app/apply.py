"""Apply: lock, observe, plan, check, run, report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock.core.model import Migration
from tidelock.core.planner import NoMigrations, PlanChanged, Policy, pending_of, plan
from tidelock.core.report import AppliedMigration, Event, Finding, Happening, Report, Severity
from tidelock.core.source import bundle_digest
from tidelock.errors import ConnectionLost, Interrupted, TidelockError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tidelock.app.ports import Database, Sink
    from tidelock.app.reading import Reader
    from tidelock.core.check import Check
    from tidelock.core.critical import Critical, Standing
    from tidelock.core.danger import Danger
    from tidelock.core.model import LedgerEntry, Observed, Plan

RECONNECTIONS = 3
"""How often in a row a run connects again without having got further. A statement that kills the server each time
must not be repeated for ever."""


@dataclass
class Run:
    """One run against one database: what went in, and what adds up."""

    database: Database
    reader: Reader
    sink: Sink
    policy: Policy = field(default_factory=Policy)
    plan_id: str | None = None
    directory: str = ""
    plan: Plan | None = None
    before: int = 0
    applied: list[AppliedMigration] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    doing: str = ""
    """The migration at hand."""
    critical: Sequence[Critical] = ()
    fallback: Callable[[str], bytes] = lambda _: b""
    """The content of a fallback script."""
    restoring: Callable[[Migration, LedgerEntry], str | None] = lambda *_: None
    """The command that brings a file back as it was applied; empty when git has no such version, None without git."""
    secure: Callable[[Plan, Observed], str] = lambda *_: ""
    """Takes or finds the backup that must precede the plan, and returns its id; raises when there is none."""
    endangered: Callable[[Plan], Sequence[Danger] | None] = lambda _: None
    """Why a backup must precede the plan: empty when each run has one, None when none comes first."""
    backs_up: bool = True
    """Somebody says how that backup is made; else people are told that there is none."""
    examine: Callable[[Plan, Observed], Sequence[Finding]] = lambda *_: ()
    """Refuses, before anything runs, what the live database shows to be harmful or impossible; returns remarks."""
    more_checks: Callable[[Observed], list[Check]] = lambda _: []
    """What `verify` asks beside: of what an extension keeps in this database."""
    versions: Collection[int] = ()
    """What the ledger had when it was last looked at."""
    failure: TidelockError | None = None
    """Why nothing can be applied, when that is known before the database is asked: the files are wrong."""
    start_on_fallback: bool = False
    """Critical tables on their fallback are good enough for what waits for this run."""
    left_out: Sequence[TidelockError] = ()
    """What is wrong with files that this run does without: `verify` tells of them, and checks the rest."""

    @property
    def files(self) -> Sequence[Migration]:
        """The migrations of the directory."""
        return self.reader.files

    def known_anew(self, observed: Observed) -> tuple[Observed, dict[int, int]]:
        """What was observed, with the numbers that renumbered files have now; and which rows have to be moved."""
        if not any(file.directives for file in self.files):
            return observed, {}
        from tidelock.core.renumbering import moves, translated

        self.reader.target(observed)
        moved = moves(self.files, observed, self.reader.script)
        return translated(observed, moved), moved

    def decide(self, observed: Observed) -> Plan:
        """The plan for what was observed. Raises the reason why there is none."""
        self.reader.target(observed)
        pending = pending_of(self.files, observed)
        if any(file.directive("was") for file in pending):
            from tidelock.app.adoption import check_taken_over

            check_taken_over(self, pending)
        elif pending and not observed.applied and not observed.unfinished and self.database.others_were_here():
            from tidelock.app.adoption import check_new_here

            check_new_here(self, pending)
        extra = {"surroundings": self.database.surroundings()} if pending else {}
        return plan(
            self.files,
            observed,
            read=self.reader.script,
            policy=self.policy,
            changed=self.reader.changed_beside,
            stored=self.database.stored_text,
            beside=self.database.beside,
            adopted=lambda: self.database.journaled("adopted"),
            restoring=self.restoring,
            **extra,
        )


def apply(run: Run) -> Report:
    """Bring the database to where the files are. Never raises a TidelockError: the report carries it."""
    started = time.monotonic()
    failure: TidelockError | None = None
    try:
        if run.failure:
            raise run.failure
        if not run.files:
            raise NoMigrations(run.directory)
        persist(run)
    except TidelockError as error:
        failure = error
    except KeyboardInterrupt:
        failure = Interrupted(f" while {run.doing} was running" if run.doing else "")
    critical: tuple[Standing, ...] = ()
    if run.critical:
        from tidelock.app.critical import look_after

        critical = look_after(run, failure)
    return Report(
        command="apply",
        target=run.database.target,
        plan=run.plan,
        applied_before=run.before,
        applied=tuple(run.applied),
        findings=tuple(run.findings),
        failure=failure,
        critical=critical,
        version=max([*run.versions, *(each.version for each in run.applied)], default=None),
        start_on_fallback=run.start_on_fallback,
        duration_s=time.monotonic() - started,
    )


def persist(run: Run) -> None:
    """Attempt until it is done; after a lost connection look what became of it, and go on."""
    losses, got = 0, -1
    while True:
        try:
            attempt(run)
        except ConnectionLost as lost:
            losses = 1 if len(run.applied) > got else losses + 1
            got = len(run.applied)
            if losses > RECONNECTIONS:
                raise
            run.sink.emit(
                Event(what=Happening.WAITING, text=f"{lost.message}; connecting again to see what became of it")
            )
            run.database.reconnect()
        else:
            return


def attempt(run: Run) -> None:
    """Observe; when there is something to do, take the lease, look again, plan, check and run."""
    observed, moved = run.known_anew(run.database.observe())
    run.versions = observed.applied.keys()
    if run.plan is None:
        run.before = len(observed.applied)
    decided = run.decide(observed)
    if not decided.pending and observed.clean and not moved:
        announce(run, decided, observed)
        return
    if run.database.promoted():
        attempt(run)
        return
    run.database.check(decided)
    found = run.examine(decided, observed)
    if run.plan is None:
        run.findings += found
    scripts = [each.script for each in decided.pending]
    highest = max((file.version for file in run.files), default=0)
    detail = {"bundle": bundle_digest(run.files), "plan": decided.id, "files": len(run.files)}
    with run.database.lease(scripts, highest, detail):
        again, moved = run.known_anew(run.database.renewed())
        if moved:
            by_version = {file.version: file for file in run.files}
            run.database.move({old: by_version[new] for old, new in moved.items()})
            again = run.database.renewed()
        run.versions = again.applied.keys()  # another run may have applied some while this one waited
        if replace(again, ledger=observed.ledger, clean=observed.clean) != observed:
            decided = run.decide(again)
        announce(run, decided, again)
        run.database.check(decided)
        run.examine(decided, again)
        if decided.pending and (backup := run.secure(decided, again)):
            run.database.secured(backup)
        done = run.database.apply(decided.pending)
        for planned in decided.pending:
            run.doing = planned.migration.label
            run.applied.append(next(done))
        run.doing = ""


def announce(run: Run, decided: Plan, observed: Observed) -> None:
    """Tell what is about to happen; refuse a plan that is not the one that was reviewed."""
    first = run.plan is None
    if first and run.plan_id not in (None, decided.id) and not begun(run, decided):
        raise PlanChanged(str(run.plan_id), decided)
    if not first:
        # After a lost connection: what the last attempt committed without hearing of it counts as applied.
        note_committed(run, decided)
        return
    run.plan, run.before = decided, len(observed.applied)
    run.findings += remarks(decided, observed)
    if decided.pending:
        counts = f"{run.before} applied, {len(decided.pending)} pending"
        run.sink.emit(Event(what=Happening.TARGET, text=f"{run.database.target}  {counts}   plan {decided.id}"))
    for finding in run.findings:
        run.sink.emit(Event(what=Happening.NOTE, text=finding.message, severity=finding.severity))


def begun(run: Run, decided: Plan) -> bool:
    """True when an earlier run began the plan that is asked for, with the very same files: what is left of it is it.

    A Job that was killed after its commit, or half-way, comes again with the same --plan.
    """
    return run.database.bundle_of(str(run.plan_id)) == bundle_digest(run.files) and not decided.ahead


def note_committed(run: Run, decided: Plan) -> None:
    """Migrations of the first plan that are neither counted nor pending any more were committed unheard."""
    assert run.plan is not None
    counted = {each.version for each in run.applied} | {each.migration.version for each in decided.pending}
    for planned in run.plan.pending:
        if planned.migration.version not in counted:
            migration = planned.migration
            run.applied.append(
                AppliedMigration(
                    version=migration.version,
                    label=migration.label,
                    path=migration.path,
                    steps=len(planned.steps),
                    statements=sum(len(step.statements) for step in planned.steps),
                    alone=False,
                    duration_s=0.0,
                    lock_wait_s=0.0,
                )
            )
            run.sink.emit(
                Event(
                    what=Happening.RECOVERED,
                    label=migration.label,
                    text=f"{migration.label} had been committed before the connection was lost, says the ledger",
                )
            )


def remarks(decided: Plan, observed: Observed) -> list[Finding]:
    """What a person should know that stops nothing."""
    found = [
        Finding(
            code="N001",
            severity=Severity.NOTE,
            message=f"{path}: only comments, white space, line ends or the case of names changed since it was applied",
        )
        for path in decided.cosmetic
    ]
    if decided.ahead:
        found.append(
            Finding(
                code="N002",
                severity=Severity.WARNING,
                message="the database is ahead of the files, as allowed: " + ", ".join(map(str, decided.ahead)),
            )
        )
    if decided.missing:
        found.append(
            Finding(
                code="N003",
                severity=Severity.WARNING,
                message="applied, and without a file, as allowed: " + ", ".join(map(str, decided.missing)),
            )
        )
    if decided.pending:
        found += [
            Finding(
                code="N004",
                severity=Severity.NOTE,
                message=f"{name} = {value} is a default of the role or database and is lifted for migrations",
            )
            for name, value in sorted(observed.overridden.items())
        ]
    return found
