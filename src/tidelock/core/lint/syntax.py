"""A statement that the parser cannot read: where, and the nearest cause, from the words around it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core import parser
from tidelock.core.patterns import regex
from tidelock.core.statement import Kind
from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.model import Place
    from tidelock.core.statement import Statement

WORD = regex(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\w+|[^\s\w]")
KEYWORDS = tuple(
    """
    ADD ALTER AND AS BEGIN BY CASCADE CHECK COLUMN COMMENT COMMIT CONCURRENTLY CONFLICT CONSTRAINT CREATE DEFAULT
    DELETE
    DESC DISTINCT DO DROP ELSE ENABLE END EXISTS EXTENSION FALSE FOREIGN FROM FUNCTION GENERATED GRANT GROUP HAVING IF
    IN
    INDEX INSERT INTO IS JOIN KEY LANGUAGE LEFT LEVEL LIKE LIMIT LOCK MATERIALIZED NOT NOTHING NULL ON OR ORDER OWNER
    POLICY PRIMARY PROCEDURE REFERENCES RENAME REPLACE RETURNING RETURNS ROLE ROW SCHEMA SECURITY SELECT SEQUENCE SET
    TABLE THEN TO TRIGGER TRUE TRUNCATE TYPE UNIQUE UPDATE USING VALID VALIDATE VALUES VIEW WHEN WHERE WITH
    """.split()  # noqa: SIM905 - a list of words is easier to read as words
)

ELSEWHERE = {
    "PERFORM": "PERFORM is of plpgsql: outside of DO and functions write SELECT",
    "RAISE": "RAISE is of plpgsql: put it into DO $$ BEGIN … END $$",
    "IF": "IF is of plpgsql: put it into DO $$ BEGIN … END $$",
    "ELSIF": "ELSIF is of plpgsql: put it into DO $$ BEGIN … END $$",
    "AUTO_INCREMENT": "AUTO_INCREMENT is of MySQL: write GENERATED ALWAYS AS IDENTITY",
    "AUTOINCREMENT": "AUTOINCREMENT is of SQLite: write GENERATED ALWAYS AS IDENTITY",
    "ENGINE": "ENGINE is of MySQL: leave it out",
    "MODIFY": "MODIFY is of MySQL: write ALTER COLUMN … TYPE",
    "GO": "GO is of SQL Server: leave it out",
    "`": 'names are quoted by "double quotes"',
    "[": 'names are quoted by "double quotes"',
}
"""Words of other languages, and what to write here."""


@record(frozen=True, slots=True)
class Unreadable:
    """What the grammar of PostgreSQL 18 refuses. The server decides: it may know more."""

    message: str
    hint: str
    place: Place


def unreadable(statement: Statement) -> Unreadable | None:
    """Why a statement is UNKNOWN, when that is because the parser cannot read it."""
    if statement.facts.kind is not Kind.UNKNOWN or statement.runtime:
        return None
    try:
        parser.parse(statement.text)
    except parser.Unreadable as error:
        offset = max(error.offset, 0)
        message, hint = cause(statement.text, offset, error.message)
        return Unreadable(message, hint, statement.place_at(offset))
    return None


def cause(text: str, offset: int, message: str) -> tuple[str, str]:
    """What is wrong at that character (from 0), and what to do about it."""
    words = [(found.start(), found[0]) for found in WORD.finditer(text)]
    at = next((number for number, (start, _) in enumerate(words) if start >= offset), len(words))
    before = words[at - 1][1] if at else ""
    here = words[at][1] if at < len(words) else ""
    if before == "," and here in (")", ""):
        return message, "take away the comma before the end"
    if before == "," and here.upper() in ("FROM", "WHERE", ")"):
        return message, f"take away the comma before {here.upper()}"
    if here.upper() in ELSEWHERE:
        return message, ELSEWHERE[here.upper()]
    for word in (here, before):
        near = _nearest(word.upper())
        if near and word.isalpha():
            return message, f"did you mean {near} for “{word}”?"
    if not here:
        return message, "the statement ends too early: look for a parenthesis or a quote that is not closed"
    if before == ")" and (here.isidentifier() or here.startswith('"')):
        return message, f"look for a comma that is missing before “{here}”"
    if here.isidentifier() and re.fullmatch(r"\w+", before):
        return message, f"look before “{here}”: a comma or a word is missing, or it is reserved and wants double quotes"
    return message, f"look before “{here}”"


def _nearest(word: str) -> str:
    """The key word that a word is a slip of: its letters in another order, or nearly the same ones."""
    from difflib import get_close_matches

    near = get_close_matches(word, KEYWORDS, n=1, cutoff=0.75)
    if not near or near[0] == word:
        return ""
    close = bool(get_close_matches(word, near, cutoff=0.8)) or sorted(word) == sorted(near[0])
    return near[0] if close else ""
