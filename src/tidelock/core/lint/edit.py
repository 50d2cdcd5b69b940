"""A change of a statement's text, and the changes of a file put into it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.patterns import regex
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Iterable


@record(frozen=True, slots=True, order=True)
class Edit:
    """The characters from `start` up to `end` of a statement's text (or of a file's) become `text`."""

    start: int
    end: int
    text: str


def insert_after(statement: str, words: str, text: str) -> Edit | None:
    """`text` put behind some key words, however they are spaced: `CREATE TABLE` → ` IF NOT EXISTS`.

    None where the words are not found at the start, as in a statement with a comment among them.
    """
    pattern = r"\s*" + r"\s+".join(map(re.escape, words.split())) + r"\b"
    found = re.match(pattern, statement, re.IGNORECASE)
    return Edit(found.end(), found.end(), text) if found else None


def insert_behind(statement: str, pattern: str, text: str) -> Edit | None:
    """`text` put behind the first match of a regular expression (upper and lower case alike)."""
    found = re.search(pattern, statement, re.IGNORECASE)
    return Edit(found.end(), found.end(), text) if found else None


QUOTED = regex(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|[()]", re.DOTALL)


def add_argument(statement: str, function: str, argument: str) -> Edit | None:
    """`argument` put at the end of a call's arguments."""
    call = re.search(rf"\b{re.escape(function)}\s*\(", statement, re.IGNORECASE)
    depth = 1
    for each in QUOTED.finditer(statement, call.end()) if call else ():
        depth += {"(": 1, ")": -1}.get(each[0], 0)
        if depth == 0 and call:
            end = len(statement[: each.start()].rstrip())
            comma = "" if end == call.end() else ", "
            return Edit(end, end, comma + argument) if "--" not in statement[call.end() : end] else None
    return None


def replace_first(statement: str, pattern: str, text: str) -> Edit | None:
    """The first match of a regular expression (upper and lower case alike) becomes `text`."""
    found = re.search(pattern, statement, re.IGNORECASE)
    return Edit(found.start(), found.end(), text) if found else None


def rewritten(text: str, edit: Edit) -> str:
    """A text with one change."""
    return text[: edit.start] + edit.text + text[edit.end :]


def applied(text: str, edits: Iterable[Edit]) -> str:
    """A text with every change that overlaps no earlier one."""
    end = len(text)
    for edit in sorted(set(edits), reverse=True):
        if edit.end <= end:
            text, end = rewritten(text, edit), edit.start
    return text
