"""The same file a second time, on the database that it has just changed: nothing may change."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tidelock.app.proving.context import excerpt, place_of
from tidelock.core.model import Place
from tidelock.core.proof import Proof, row_changes, schema_changes, sequence_changes
from tidelock.core.report import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.app.proving.context import Proving
    from tidelock.app.proving.line import Line
    from tidelock.core.model import Migration
    from tidelock.core.proof import State
    from tidelock.core.statement import Statement
    from tidelock.errors import TidelockError


def rerun(proving: Proving, line: Line, index: int, before: State) -> None:
    """Run it again, in place when it looks harmless, otherwise in a copy."""
    began = time.monotonic()
    script = proving.reader.script(proving.files[index])
    if all(each.facts.rerunnable for each in script.statements):
        findings = list(again(proving, line.name, index, before))
        if findings:
            line.lose()
    else:
        with line.copy() as copied:
            findings = list(again(proving, copied, index, before))
    proving.prove(Proof.RERUN, index, began, "" if findings else "changes nothing when run again", findings)


def again(proving: Proving, name: str, index: int, before: State) -> Iterator[Finding]:
    """What a second run does."""
    file = proving.files[index]
    proving.shadows.forget(name, file.version)
    report = proving.apply(proving.shadows.database(name), index + 1)
    if report.failure is not None:
        yield fails(file, report.failure)
        return
    after = proving.shadows.state(name, before)
    statements = proving.reader.script(file).statements
    for change in (*schema_changes(before, after), *row_changes(before, after)):
        yield changes(file, change, statement_behind(statements, change))
    for change in sequence_changes(before, after):
        yield draws(file, change)


def fails(file: Migration, failure: TidelockError) -> Finding:
    """It fails."""
    return Finding(
        code="P002",
        severity=Severity.ERROR,
        message=f"fails when run a second time: {first_line(failure)}",
        place=place_of(failure, file),
        hint="write it with IF NOT EXISTS, OR REPLACE or ON CONFLICT; or allow it: "
        "`-- tidelock: allow P002: it runs once`",
        detail=failure.detail,
    )


def first_line(failure: TidelockError) -> str:
    """The server's words, which the detail carries below the excerpt; else the message."""
    state = getattr(failure, "sqlstate", "")
    lines = [line.strip() for line in failure.detail.splitlines() if state and line.strip().startswith(state)]
    return " ".join(lines[0].split()) if lines else f"{failure.code} {failure.message}"


def changes(file: Migration, change: str, statement: Statement | None) -> Finding:
    """It changes something."""
    place = statement.place if statement else Place(file.path, 1)
    guard = "guard it, so that it finds its work done"
    if "has other values in" in change:
        guard = "write only rows that are not right yet (DO UPDATE … WHERE t.x IS DISTINCT FROM excluded.x): a write "
        guard += "moves what now() or a trigger sets"
    return Finding(
        code="P003",
        severity=Severity.ERROR,
        message=f"changes something when run a second time: {change}",
        place=place,
        hint=f"{guard}; or allow it: `-- tidelock: allow P003: it runs once`",
        detail=excerpt(file, place),
    )


def draws(file: Migration, change: str) -> Finding:
    """It only draws numbers: worth a word, and nothing more."""
    return Finding(
        code="P009",
        severity=Severity.WARNING,
        message=f"draws numbers when run a second time: {change}",
        place=Place(file.path, 1),
        hint="ON CONFLICT DO NOTHING draws before it looks; WHERE NOT EXISTS looks first",
    )


ROWS = re.compile(r" has ([\d,]+) rows, not ([\d,]+)$")
GUARD = re.compile(r"\bON\s+CONFLICT\b|\bNOT\s+EXISTS\b|\bEXCEPT\b|\bNOT\s+IN\b", re.IGNORECASE)
UPSERT = re.compile(r"\bON\s+CONFLICT\b.*\bDO\s+UPDATE\b", re.IGNORECASE | re.DOTALL)


def unlikely(statement: Statement, change: str) -> tuple[bool, bool]:
    """How little a statement that writes the table is suspected: it does something else, it is guarded."""
    found, command = ROWS.search(change), statement.facts.command
    if found is None:
        fits = command == "UPDATE" or UPSERT.search(statement.text) is not None
    elif int(found[1].replace(",", "")) < int(found[2].replace(",", "")):
        fits = command in ("DELETE", "TRUNCATE")
    else:
        fits = command in ("INSERT", "COPY")
    return not (fits or command == "MERGE"), GUARD.search(statement.text) is not None


def statement_behind(statements: tuple[Statement, ...], change: str) -> Statement | None:
    """The statement that a change is most likely from: one that names the object or its table, writers first."""
    names = {part for word in change.split(" ")[1:2] for part in word.replace('"', "").split(".")}
    writers = [each for each in statements if {table.rpartition(".")[2] for table in each.facts.writes} & names]
    if writers:
        return min(writers, key=lambda each: unlikely(each, change))
    for each in statements:
        touched = (*each.facts.creates, *each.facts.alters, *each.facts.drops)
        if {made.name for made in touched} & names:
            return each
    return next((each for each in statements if any(name in each.text for name in names if len(name) > 2)), None)
