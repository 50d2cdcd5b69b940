"""The first pass: each file on an empty database, what it locks, and the same file again."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tidelock.app.proving.context import Applied, excerpt, place_of
from tidelock.app.proving.line import Line, Unsteady
from tidelock.app.proving.rerun import first_line, rerun
from tidelock.app.proving.smoke import previous
from tidelock.core import locks
from tidelock.core.planner import RequirementMissing
from tidelock.core.proof import Proof
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.proving.context import Proving
    from tidelock.core.model import Migration
    from tidelock.core.proof import LockLook
    from tidelock.errors import TidelockError

NO_EXTENSION = re.compile(r'extension "([^"]+)" is not available|could not open extension control file|"\$libdir/')
LACKS = ("42P01", "42703", "42704", "3F000")
"""SQLSTATEs of what is not there: after a file that would have made it, and was passed over, that says nothing."""
UNKNOWN_DATABASE = "3D000"
BROUGHT = ("42883", "42704")
"""Functions and types: an extension that is not here would have brought them, and no file names them."""


def walk(proving: Proving) -> None:
    """Go through the files in order; publish what each makes."""
    line = Line(proving)
    try:
        for index in range(len(proving.files)):
            if proving.stopped:
                break
            if needed(proving, index):
                proving.tell("fresh, rerun", index)
                attempt(proving, line, index)
    finally:
        line.lose()
        proving.end()


def attempt(proving: Proving, line: Line, index: int) -> None:
    """One file, when those before it still apply."""
    try:
        one(proving, line, index)
    except Unsteady as why:
        line.lose()
        proving.pass_over(index, f"what comes before it does not apply a second time: {why}")


def needed(proving: Proving, index: int) -> bool:
    """Some proof of the file is still to be made, or the end is to be known."""
    own = (Proof.FRESH, Proof.RERUN, Proof.INTERRUPTED, Proof.LOCKS)
    ends = index == len(proving.files) - 1 and Proof.FALLBACK in proving.wanted.proofs and bool(proving.critical)
    return ends or previous_wanted(proving, index) or any(proving.wants(each, index) for each in own)


def previous_wanted(proving: Proving, index: int) -> bool:
    """The file takes something away, and there is a command to run before it."""
    return (
        proving.wanted.smoke is not None
        and Proof.PREVIOUS in proving.wanted.proofs
        and proving.files[index].directive("BREAKING") is not None
    )


def one(proving: Proving, line: Line, index: int) -> None:
    """One file: apply it, look, and run it again."""
    if why := lacking(proving, index):
        proving.pass_over(index, why)
        return
    began = time.monotonic()
    line.stand(index)
    proving.lend(index, line.name)
    if previous_wanted(proving, index):
        previous(proving, line, index)
    looks: list[LockLook] = []
    report = proving.apply(proving.shadows.looking(line.name, looks), index + 1)
    if report.failure is not None:
        line.lose()
        refused(proving, index, report.failure, began)
        return
    line.at = index + 1
    proving.note_roles()
    steps = report.plan.pending[0].steps if report.plan else ()
    applied = Applied(proving.shadows.state(line.name), steps)
    if proving.wants(Proof.FRESH, index):
        took = f"{len(steps)} steps" if len(steps) > 1 else f"{sum(len(step.statements) for step in steps)} statements"
        proving.prove(Proof.FRESH, index, began, took)
    if proving.wants(Proof.LOCKS, index):
        locked(proving, index, looks, alone=sum(step.mode == "alone" for step in steps))
    proving.publish(index, applied)
    if proving.wants(Proof.RERUN, index):
        rerun(proving, line, index, applied.state)


def lacking(proving: Proving, index: int) -> str:
    """What the file needs and this server does not have; empty when it has all."""
    file = proving.files[index]
    available = proving.shadows.available()
    for each in file.directives:
        if each.name == "requires" and (name := each.value.split()[0].lower()) not in {*available, "postgresql"}:
            return f"requires extension {name}, which this server does not have"
    for statement in proving.reader.script(file).statements:
        for made in statement.facts.creates:
            if made.kind == "extension" and made.name not in available:
                return f"CREATE EXTENSION {made.name}: this server does not have it"
    return ""


def refused(proving: Proving, index: int, failure: TidelockError, began: float) -> None:
    """A file that does not apply. What this server lacks is no fault of the file; nor what an earlier one lacks."""
    file, words = proving.files[index], f"{failure.code} {failure.message}"
    if isinstance(failure, RequirementMissing) or NO_EXTENSION.search(failure.detail):
        proving.pass_over(index, missing_words(failure))
        return
    if getattr(failure, "sqlstate", "") == UNKNOWN_DATABASE:
        proving.pass_over(index, f"names a database, and a shadow has a name of its own: {first_line(failure)}")
        return
    if role := already_there(proving, failure):
        proving.pass_over(index, f"makes role {role}, which was on the shadow server before")
        return
    if before := followed(proving, failure):
        proving.pass_over(index, f"comes after {before.label}, which was passed over: {first_line(failure)}")
        return
    finding = Finding(
        code="P001",
        severity=Severity.ERROR,
        message=f"does not apply to an empty database: {words}",
        place=place_of(failure, file),
        hint="mend the file; where it needs what no migration makes, add a migration that makes it",
        detail=failure.detail,
    )
    if Proof.FRESH in proving.wanted.proofs:
        proving.prove(Proof.FRESH, index, began, findings=[finding])
    proving.pass_over(index, "does not apply to an empty database", but=Proof.FRESH)


def already_there(proving: Proving, failure: TidelockError) -> str:
    """The role that could not be made because the server has it: that is the server's doing."""
    found = re.search(r'role "([^"]+)" already exists', first_line(failure))
    return found[1] if found and found[1] in proving.shadows.roles else ""


def followed(proving: Proving, failure: TidelockError) -> Migration | None:
    """The file that was passed over and would have made what is missing: it names it, or its extension may bring it."""
    state = getattr(failure, "sqlstate", "")
    missing = re.findall(r'"([^"]+)"', first_line(failure))
    for index in sorted(proving.passed_over):
        file = proving.files[index]
        names_it = state in LACKS and any(name.rpartition(".")[2] in file.text for name in missing)
        if names_it or (state in BROUGHT and "extension" in proving.passed_over[index].lower()):
            return file
    return None


def missing_words(failure: TidelockError) -> str:
    """In what way this server is not enough."""
    found = NO_EXTENSION.search(failure.detail)
    return f"needs extension {found[1]}, which this server does not have" if found and found[1] else failure.message


# --- locks -----------------------------------------------------------------------------------------------------------


def locked(proving: Proving, index: int, looks: Sequence[LockLook], alone: int) -> None:
    """What the facts claim against what the server took."""
    file = proving.files[index]
    findings = [each for look in looks for each in wrong(file, look)]
    proving.prove(Proof.LOCKS, index, time.monotonic(), lock_evidence(looks, alone), findings, count=len(looks))


def lock_evidence(looks: Sequence[LockLook], alone: int) -> str:
    """`parcels: AccessExclusive, scanned`, and what was not measured."""
    took: dict[str, str] = {}
    for look in looks:
        for table, words in locks.evidence(look).items():
            took[table] = words if took.get(table) in (None, words) else f"{took[table]}; {words}"
    parts = [f"{table}: {words}" for table, words in took.items()]
    if unknown := sum(not locks.known(look) for look in looks):
        parts.append(f"{unknown} with unknown effect, nothing claimed")
    if alone:
        parts.append(f"{alone} outside a transaction, not measured")
    return " · ".join(parts) or "no table of before"


def wrong(file: Migration, look: LockLook) -> Iterator[Finding]:
    """A finding for each claim that was wrong."""
    for claim in locks.wrong_claims(look):
        yield Finding(
            code="P007",
            severity=Severity.ERROR if claim.wrong else Severity.WARNING,
            message=f"{look.statement.facts.command or 'a statement'} on {claim.table}: Tidelock {claim.words}",
            place=look.statement.place,
            hint="plan on what the server took, and report it: what `plan` and `lint` say of this statement is wrong"
            if claim.wrong
            else "plan on what the server took: the text of the statement alone does not tell",
            detail=excerpt(file, look.statement.place),
        )
