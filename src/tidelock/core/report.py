"""What happened, as values: Finding, Event, StepResult, Report. Nothing here prints."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.critical import Standing
    from tidelock.core.lint.edit import Edit
    from tidelock.core.model import Place, Plan
    from tidelock.errors import TidelockError


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@record(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark: something a person should know that stops nothing."""

    code: str
    severity: Severity
    message: str
    place: Place | None = None
    hint: str = ""
    title: str = ""
    """The rule in a few words; empty for a finding of no rule."""
    end_line: int = 0
    """The last line of the statement, when the place is its beginning; 0 otherwise."""
    rewrite: str = ""
    """SQL that does the same without harm."""
    edit: Edit | None = None
    """A change of the file that cannot hurt, in its characters: what `lint --fix` does."""
    detail: str = ""
    """Further lines: an excerpt, a difference."""


class Happening(StrEnum):
    """What an event tells."""

    WAITING = "waiting"
    """Somebody else is in the way: a runner, a lock, a server that starts."""
    TARGET = "target"
    """The database was looked at."""
    MIGRATION = "migration"
    """A migration begins."""
    PROGRESS = "progress"
    """A long statement got further."""
    NOTICE = "notice"
    """The server said something: NOTICE, WARNING, …"""
    ROWS = "rows"
    """A statement returned rows."""
    ECHO = "echo"
    APPLIED = "applied"
    RECOVERED = "recovered"
    """What an interrupted run left was found and dealt with."""
    NOTE = "note"


@record(frozen=True, slots=True, kw_only=True)
class AppliedMigration:
    """One migration that this run carried out."""

    version: int
    label: str
    path: str
    steps: int
    statements: int
    alone: bool
    """At least one statement ran outside a transaction."""
    duration_s: float
    lock_wait_s: float
    locks: tuple[str, ...] = ()
    """Tables that it locked against readers or writers."""


@record(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened while a run goes on, for whoever watches."""

    what: Happening
    text: str
    version: int | None = None
    label: str = ""
    place: Place | None = None
    fraction: float | None = None
    """0 to 1, for PROGRESS, when known."""
    severity: str = ""
    """For NOTICE: the server's word."""
    applied: AppliedMigration | None = None
    """For APPLIED."""


@record(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a run, also of one that failed."""

    command: str
    target: str = ""
    """`database@host:port`."""
    plan: Plan | None = None
    applied_before: int = 0
    applied: tuple[AppliedMigration, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: TidelockError | None = None
    critical: tuple[Standing, ...] = ()
    """How the tables stand that the application cannot start without."""
    version: int | None = None
    """The highest version that is applied now, where the ledger was seen."""
    start_on_fallback: bool = False
    """What waits for this run may start as soon as every critical table is there: `--on-fallback start`."""
    duration_s: float = 0.0
    run_id: str = ""

    @property
    def fallen(self) -> bool:
        """A critical table is missing or stands on its fallback."""
        return any(each.footing != "migration" for each in self.critical)

    @property
    def pending(self) -> int:
        """How many migrations are still to be applied."""
        return len(self.plan.pending) - len(self.applied) if self.plan else 0


VERIFICATION_FAILED = 8


def exit_code(report: Report) -> int:
    """The exit code of `design.md` for a report."""
    if report.fallen:
        missing = any(each.footing == "missing" for each in report.critical)
        return VERIFICATION_FAILED if missing or not report.start_on_fallback else 0
    return report.failure.exit_code if report.failure else 0
