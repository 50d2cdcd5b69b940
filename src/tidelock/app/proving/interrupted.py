"""The second pass: each file is cut off wherever that leaves something, started again, and must end the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.app.proving.context import Died, excerpt
from tidelock.app.proving.line import Line, Unsteady
from tidelock.core.proof import Cut, Proof, changed_columns, cuts_of, row_changes, schema_changes
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.proving.context import Applied, Proving
    from tidelock.core.proof import State
    from tidelock.core.step import Step
    from tidelock.errors import TidelockError


@dataclass(frozen=True, slots=True)
class Pair:
    """The database whose runs are cut off, and one for runs that are not."""

    line: Line
    control: Line


def walk(proving: Proving, indexes: Sequence[int]) -> None:
    """Go through these files in order."""
    line, control = Line(proving), Line(proving)
    try:
        if indexes and indexes[0] in proving.awaited:
            line.name, line.at = proving.borrow(indexes[0]), indexes[0]
        for index in indexes:
            applied = proving.take(index)
            if proving.stopped:
                break
            if applied is not None:
                proving.tell("interrupted", index)
                one(proving, Pair(line, control), index, applied)
    finally:
        line.lose()
        control.lose()


def one(proving: Proving, pair: Pair, index: int, applied: Applied) -> None:
    """All cuts of one file."""
    line, began = pair.line, time.monotonic()
    cuts = cuts_of(applied.steps)
    try:
        line.stand(index)
        if together(applied.steps):
            findings = in_place(proving, pair, index, applied, cuts)
        else:
            findings = one_by_one(proving, pair, index, applied, cuts)
    except Unsteady as why:
        line.lose()
        proving.leave_open(Proof.INTERRUPTED, index, f"what comes before it does not apply a second time: {why}")
        return
    words = f"{len(cuts)} cut points, same end each time" if cuts else "nothing to cut"
    proving.prove(Proof.INTERRUPTED, index, began, "" if findings else words, findings, count=len(cuts))


def together(steps: Sequence[Step]) -> bool:
    """The file is one transaction with its record: whatever is cut off in it leaves nothing."""
    return len(steps) == 1 and steps[0].mode != "alone" and not steps[0].recorded_after


def in_place(proving: Proving, pair: Pair, index: int, applied: Applied, cuts: Sequence[Cut]) -> list[Finding]:
    """Die at each cut, one after the other, and then come to the end."""
    line, at = pair.line, cuts[0] if cuts else None
    for cut in cuts:
        failure = died(proving, line.name, index, cut)
        if failure is not None:
            line.lose()
            return [stuck(proving, index, cut, failure)]
    report = proving.apply(proving.shadows.database(line.name), index + 1)
    if report.failure is not None:
        line.lose()
        return [stuck(proving, index, at, report.failure)]
    line.at = index + 1
    proving.note_roles()
    return compare(proving, pair, index, applied, at, line.name)


def one_by_one(proving: Proving, pair: Pair, index: int, applied: Applied, cuts: Sequence[Cut]) -> list[Finding]:
    """Each cut on a copy of its own."""
    line = pair.line
    findings: list[Finding] = []
    for cut in cuts:
        line.stand(index)  # learning what varies may have taken it away
        with line.copy() as copied:
            failure = died(proving, copied, index, cut)
            failure = failure or proving.apply(proving.shadows.database(copied), index + 1).failure
            if failure is not None:
                findings.append(stuck(proving, index, cut, failure))
            else:
                findings += compare(proving, pair, index, applied, cut, copied)
            if findings:
                line.stand(index)
    return findings


def died(proving: Proving, name: str, index: int, cut: Cut) -> TidelockError | None:
    """Run until the client dies at the cut. A failure before that comes back."""
    try:
        report = proving.apply(proving.shadows.stopping(name, cut.step, cut.statement), index + 1)
    except Died:
        return None
    return report.failure


def compare(proving: Proving, pair: Pair, index: int, applied: Applied, cut: Cut | None, name: str) -> list[Finding]:
    """The end, against the end without a cut."""
    after = proving.shadows.state(name, once=True)
    changes = differences(proving, applied.state, after)
    if changes and not schema_changes(applied.state, after):
        learn_noise(proving, pair, index, applied.state)
        changes = differences(proving, applied.state, after)
    return [differs(proving, index, cut, change) for change in changes]


def differences(proving: Proving, without: State, after: State) -> list[str]:
    """What differs, apart from what differs each time."""
    but = proving.noise | without.drawn | after.drawn
    return [*schema_changes(without, after), *row_changes(without, after, but)]


def learn_noise(proving: Proving, pair: Pair, index: int, first: State) -> None:
    """Apply the same files once more, uninterrupted: columns that differ now differ from run to run."""
    if proving.with_roles:
        pair.line.lose()
    found = changed_columns(first, proving.shadows.state(pair.control.stand(index + 1)))
    if proving.with_roles:
        pair.control.lose()
    with proving.changed:
        proving.noise |= found


def stuck(proving: Proving, index: int, cut: Cut | None, failure: TidelockError) -> Finding:
    """Started again, it does not come to its end."""
    file = proving.files[index]
    person = failure.exit_code == 4
    return Finding(
        code="P004",
        severity=Severity.ERROR,
        message=f"cut off {cut} and started again, it "
        + ("waits for a person: " if person else "fails: ")
        + f"{failure.code} {failure.message}",
        place=cut.place if cut else None,
        hint="make the statement one that may run twice (IF NOT EXISTS, a guard), or let a transaction hold it"
        + (f"; or allow it: `-- tidelock: allow P004: {failure.code} is dealt with by hand`" if person else ""),
        detail=excerpt(file, cut.place) if cut else failure.detail,
    )


def differs(proving: Proving, index: int, cut: Cut | None, change: str) -> Finding:
    """It comes to another end."""
    return Finding(
        code="P004",
        severity=Severity.ERROR,
        message=f"cut off {cut} and started again, it ends otherwise: {change}",
        place=cut.place if cut else None,
        hint="let one transaction hold what belongs together (take `no-transaction` or the COMMIT out), or guard it",
        detail=excerpt(proving.files[index], cut.place) if cut else "",
    )
