"""Step: what is run and recorded together."""

from __future__ import annotations

import itertools
import re
from enum import StrEnum
from functools import cached_property

from tidelock.core.patterns import regex
from tidelock.core.statement import Ending, Item, Kind, Quit, Statement
from tidelock.core.values import record

READ_ONLY = regex(r"\bREAD\s+ONLY\b|_read_only\s*(?:=|\bTO\b)\s*'?(?:on|true|yes|1)\b", re.IGNORECASE)
LOCAL = regex(r"SET\s+(LOCAL|TRANSACTION|CONSTRAINTS)\b", re.IGNORECASE)


def ends_writing(statement: Statement) -> bool:
    """SET TRANSACTION READ ONLY, and SET transaction_read_only."""
    return statement.facts.sets in ("transaction", "transaction_read_only") and bool(READ_ONLY.search(statement.text))


class Mode(StrEnum):
    """How a step runs."""

    TRANSACTION = "transaction"
    """Statements of the file in one transaction of ours."""
    OWN = "own transaction"
    """A BEGIN … COMMIT of the file."""
    ALONE = "alone"
    """One statement that no transaction may hold."""


@record(frozen=True, kw_only=True)  # without slots: what is asked again and again is kept
class Step:
    """What is run and recorded together."""

    version: int
    number: int
    """From 1 within its file."""
    mode: Mode
    items: tuple[Item, ...]
    reason: str = ""
    """Why it does not share the transaction of the step before it."""
    begin: Statement | None = None
    """The file's own BEGIN, when `mode` is OWN."""
    rolled_back: bool = False
    """The file ends this transaction with ROLLBACK."""
    digest: str = ""
    """SHA-256 (hex) of the tokens of its statements."""

    @property
    def recorded_after(self) -> bool:
        """Its transaction cannot hold the record: rolled back by the file, or READ ONLY. Repeating it is harmless."""
        if self.begin is None or self.rolled_back:
            return self.rolled_back
        if "READ ONLY" in self.begin.text.upper():
            return not self.writable
        return self.ends_writing is not None and not self.written_before

    @cached_property
    def ends_writing(self) -> Statement | None:
        """What makes the file's own transaction READ ONLY, so that the record cannot stand behind it."""
        backs = any(each.facts.command == "ROLLBACK TO SAVEPOINT" for each in self.statements)
        if self.begin is None or backs or any(isinstance(each, Quit) for each in self.items):
            return None  # a savepoint would take the record back too, and \q leave it out
        return next((each for each in self.statements if ends_writing(each)), None)

    @property
    def written_before(self) -> bool:
        """Something other than a setting stands before what makes its transaction READ ONLY."""
        before = itertools.takewhile(lambda each: each is not self.ends_writing, self.statements)
        return any(each.facts.kind is not Kind.SESSION for each in before)

    @property
    def writable(self) -> bool:
        """The file says itself that its transaction is READ WRITE, whatever the session's default is."""
        own = [each for each in self.statements if each.facts.sets in ("transaction", "transaction_read_only")]
        texts = (each.text.upper() for each in (self.begin, *own) if each is not None)
        return self.begin is not None and any("READ WRITE" in text or "READ_ONLY" in text for text in texts)

    def in_vain(self, item: Item) -> str:
        """SET LOCAL, SET TRANSACTION or SET CONSTRAINTS outside of the file's own transaction, by name; else empty.

        psql's autocommit ends its effect with the statement itself, unless more is sent together with it.
        """
        if self.begin is not None or not isinstance(item, Statement) or item.ending is Ending.SEPARATOR:
            return ""
        facts = item.facts
        if facts.kind is Kind.UNKNOWN and item.pieces and (found := LOCAL.match(item.text)):
            return f"SET {found[1].upper()}"
        return facts.command if facts.kind is Kind.SESSION and facts.sets and not facts.session else ""

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Its statements, without echoes and assignments."""
        return tuple(item for item in self.items if isinstance(item, Statement))

    @cached_property
    def external(self) -> bool:
        """It has effects that no rollback undoes, or is alone and unreadable: journaled durably before it runs."""
        return any(
            each.facts.external or (self.mode is Mode.ALONE and each.facts.kind is Kind.UNKNOWN)
            for each in self.statements
        )

    @property
    def journaled_first(self) -> bool:
        """Its start is journaled before it runs, because no transaction ties its effect to its row."""
        return self.mode is Mode.ALONE or self.external

    @cached_property
    def session(self) -> bool:
        """It may leave something behind in the session."""
        return any(each.facts.session or each.runtime for each in self.statements)
