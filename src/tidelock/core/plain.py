"""The common statement at one glance: no variable, no backslash outside of quotes, parentheses closed.

What `lexer` reads character by character is matched here in one go; whatever is the least unusual is left to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lexer import BLANK, DOLLAR, IDENT_CHAR, ROUTINE, SPACE, Draft

if TYPE_CHECKING:
    from tidelock.core.lexer import Lexer

QUIET = r"[^'\"$();:\\/\-]++|'[^'\\]*+'|\"[^\"]*+\"|::|:=|-(?!-)|/(?!\*)"
"""A quote with a backslash in it may be longer than it looks, and is left out."""
COMMENT = r"(?:--[^\n\r]*+[ \t\n\r\f\v]*+)++(?!;)"
"""A comment at the very end does not belong to the statement."""
DEPTH = 4
"""Parentheses within parentheses."""


def nested(depth: int) -> str:
    """The expression of what stands in parentheses, with so many within."""
    inner = rf"|\({nested(depth - 1)}\)" if depth else ""
    return rf"(?:{QUIET}|{COMMENT}{inner})*+"


STRETCH = re.compile(nested(DEPTH))
BEGIN = re.compile("begin", re.IGNORECASE)


def take(lexer: Lexer) -> Draft | None:
    """The next statement with its semicolon, without its tokens; None, and nothing read, where it is not a common one.

    Only for a lexer with nothing in its buffer and nothing open.
    """
    text, start = lexer.text, lexer.pos
    if blank := BLANK.match(text, start):
        start = blank.end()
    end = end_of(text, start)
    if end < 0:
        return None
    lexer.pos = lexer.code = end + 1
    place = lexer.place(start)
    statement = text[start:end].rstrip(SPACE)
    return Draft(
        text=statement,
        place=place,
        end_line=lexer.line_of(end),
        start=start,
        stop=start + len(statement),
        pieces=(),
        spans=(),
        tokens=(),
    )


def end_of(text: str, start: int) -> int:
    """The offset of the semicolon of the statement that begins at `start`; -1 when it takes a closer look."""
    if text.startswith(";", start) or text[start : start + 4].lower() == "copy":
        return -1
    end = _end_of_stretch(text, start)
    opened = closed = end
    if text.startswith("$", end):
        closed = _end_of_dollar(text, end)
        end = _end_of_stretch(text, closed) if closed >= 0 else -1
    if end < 0 or not text.startswith(";", end):
        return -1
    if text[start] in "cC(" and ROUTINE.match(text, start):  # BEGIN ATOMIC may hold semicolons
        return -1 if BEGIN.search(text, start, opened) or BEGIN.search(text, closed, end) else end
    return end


def _end_of_stretch(text: str, start: int) -> int:
    found = STRETCH.match(text, start)
    return found.end() if found else start


def _end_of_dollar(text: str, start: int) -> int:
    """The offset behind a dollar quote; -1 when it is part of a name, or has no end."""
    tag = DOLLAR.match(text, start)
    if tag is None or IDENT_CHAR.match(text, start - 1):
        return -1
    found = text.find(tag[0], tag.end())
    return found + len(tag[0]) if found >= 0 else -1
