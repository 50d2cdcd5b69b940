"""The user's own command, against the schema that the code of before has to live with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidelock.app.proving.line import Line
from tidelock.core.proof import Outcome, Proof, Result
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from tidelock.app.proving.context import Proving
    from tidelock.core.model import Place


def previous(proving: Proving, line: Line, index: int) -> None:
    """Before a file that takes something away: all that came before it must leave the code of before working."""
    began = time.monotonic()
    breaking = proving.files[index].directive("BREAKING")
    code, output = run(proving, line)
    found = [finding(code, output, breaking.place)] if code and breaking else []
    proving.prove(Proof.PREVIOUS, index, began, f"exit {code} before {proving.files[index].label}", found)


def at_the_end(proving: Proving) -> None:
    """No file takes anything away: the command runs on what all of them make."""
    began = time.monotonic()
    line = Line(proving)
    try:
        line.stand(len(proving.files))
        code, output = run(proving, line)
    finally:
        line.lose()
    found = (finding(code, output, None),) if code else ()
    proving.add(
        Result(
            proof=Proof.PREVIOUS,
            outcome=Outcome.REFUTED if code else Outcome.PROVED,
            label="after all files, as none says BREAKING",
            evidence=f"exit {code}",
            findings=found,
            duration_s=time.monotonic() - began,
        )
    )


def run(proving: Proving, line: Line) -> tuple[int, str]:
    """The command on a copy: what it writes is nobody's concern."""
    assert proving.wanted.smoke is not None
    with line.copy() as copied:
        return proving.wanted.smoke(proving.shadows.environment(copied))


def finding(code: int, output: str, place: Place | None) -> Finding:
    """The command did not end with 0."""
    return Finding(
        code="P008",
        severity=Severity.ERROR,
        message=f"the command of `[prove] smoke` ended with {code} on the schema before this file",
        place=place,
        hint="the files before it take something away that the code of before uses: keep it until that code is gone",
        detail=output,
    )
