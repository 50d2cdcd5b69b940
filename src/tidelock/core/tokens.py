"""The digest of SQL tokens: what changes when the meaning may, and stays when only the looks do."""

from __future__ import annotations

import hashlib
import re
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOKENS_VERSION = 1
"""Raised whenever the same text gets another digest. Stored beside every digest.

Version 1: tokens as PostgreSQL's scanner cuts them, joined with NUL, SHA-256 in hex. Comments and white space between
tokens are left out, ASCII letters outside quotes are lower-cased. Two literals that a line break joins
(`'a'` newline `'b'`) are marked as joined. CRLF is LF and a byte order mark is nothing. Variables enter with their
values; what is known only at run time and what psql itself defines (DBNAME, …) enters with its name.
"""


class Segment(IntEnum):
    """What a stretch of SQL is to the digest."""

    CODE = 0
    LITERAL = 1
    """Quoted with ', \" or $$, its prefix included."""
    COMMENT = 2
    NAME = 3
    """A variable that enters by its name: `:DBNAME`."""


OPERATOR = r"~!@#^&|`?+\-*/%<>="
# A run of operator characters stops before a comment. It may end in + or - only when it contains a character that
# no SQL operator has: `=-1` is `=` and `-`, `@-1` is `@-`.
TOKEN = re.compile(
    r"[^\x00-@\[-^`{-\x7f][^\x00-#%-/:-@\[-^`{-\x7f]*"
    r"|(?:[0-9]+(?:\.(?!\.)[0-9_]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[^\x00-/:-@\[-^`{-\x7f]*"
    r"|::|:=|\.\.|\$[0-9]+"
    rf"|[{OPERATOR}]*[~!@#^&|`?%][{OPERATOR}]*"
    r"|[+\-*/<>=]*[*/<>=]"
    r"|[^ \t\n\r\f\v]"
)
ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def lowered(text: str) -> str:
    """`text` with ASCII letters in lower case: PostgreSQL leaves other letters alone in UTF-8."""
    return text.lower() if text.isascii() else text.translate(ASCII_LOWER)


def stream(segments: Iterable[tuple[Segment, str]]) -> list[str]:
    """The tokens of one statement, in order."""
    tokens: list[str] = []
    literal = broken = False  # the last token is a string; a line has ended since
    for kind, text in segments:
        if kind is Segment.CODE:
            found = TOKEN.findall(lowered(text))
            if found:
                tokens += found
                literal = False
            else:
                broken = broken or "\n" in text
        elif kind is Segment.LITERAL:
            if literal and broken and text[0] == "'":
                tokens.append("\n")
            quote = text[-1] == "'"
            tokens.append(text[0].lower() + text[1:] if quote else text)
            literal, broken = quote, False
        elif kind is Segment.NAME:
            tokens.append(text)
            literal = False
        elif text.startswith("/*"):
            literal = False
    return tokens


def digest(tokens: Sequence[str]) -> str:
    """SHA-256 (hex) over tokens. NUL separates: neither a file nor a PostgreSQL value can hold it."""
    return hashlib.sha256("\0".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()
