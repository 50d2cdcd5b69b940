"""Remarks of rules as findings, with their places, changes of the file, and what a file allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.lint.rule import Remark, Rule
from tidelock.core.model import Place
from tidelock.core.report import Finding

if TYPE_CHECKING:
    from tidelock.core.lint.edit import Edit
    from tidelock.core.lint.look import File
    from tidelock.core.model import Directive
    from tidelock.core.statement import Statement


def allowance(file: File, found: Finding) -> Directive | None:
    """The `-- tidelock: allow` that covers a finding: above the first statement for the file, else for the next one."""
    first = file.statements[0].place.line if file.statements else 0
    for each in file.migration.directives:
        if each.name != "allow" or each.value != found.code:
            continue
        if each.place.line < first:
            return each
        following = next((one for one in file.statements if max(one.end_line, one.place.line) >= each.place.line), None)
        if (
            following
            and found.place
            and following.place.line <= found.place.line <= max(following.end_line, following.place.line)
        ):
            return each
    return None


def finding(
    rule: Rule, remark: Remark | str, *, place: Place | None = None, statement: Statement | None = None, text: str = ""
) -> Finding:
    """A remark as a finding."""
    if isinstance(remark, str):
        remark = Remark(message=remark)
    where = remark.place or (statement.place if statement else place)
    edit = in_file(remark.edit, statement, text) if remark.edit and statement else None
    return Finding(
        code=rule.code,
        severity=rule.severity,
        title=rule.title,
        message=remark.message,
        hint=remark.hint or rule.fix,
        rewrite="" if statement and statement.written else remark.rewrite,  # it has values where the file has names
        place=where,
        end_line=statement.end_line if statement and where is statement.place else 0,
        edit=edit,
    )


def in_file(edit: Edit, statement: Statement, text: str) -> Edit | None:
    """An edit of a statement as one of its file; None where the text comes from elsewhere (\\i, a variable)."""
    start = offset_of(text, statement.place)
    if text[start : start + len(statement.text)] != statement.text:
        return None
    return replace(edit, start=start + edit.start, end=start + edit.end)


def offset_of(text: str, place: Place) -> int:
    """Characters before a place in a text."""
    start = 0
    for _ in range(place.line - 1):
        start = text.index("\n", start) + 1
    return start + place.column - 1
