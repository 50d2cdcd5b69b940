"""psql variables while a script runs: what \\gset sets, and what depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import pq

from tidelock.core.facts import facts_of
from tidelock.core.statement import Quote, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from tidelock.core.statement import Guard, Statement

TRUE = ("true", "yes", "on", "1")


class Variables:
    """Names and values known at this moment of the run."""

    def __init__(self, conn: psycopg.Connection[tuple[object, ...]], values: dict[str, str]) -> None:
        self._escaping = pq.Escaping(conn.pgconn)
        self.values = values

    def fill(self, parts: Sequence[str | Variable]) -> str:
        """Text with each variable in the form that the script asks for; unknown names stay as they are, as in psql."""
        return "".join(part if isinstance(part, str) else self._one(part) for part in parts)

    def _one(self, variable: Variable) -> str:
        value = self.values.get(variable.name)
        match variable.quote:
            case Quote.EXISTS:
                return "TRUE" if value is not None else "FALSE"
            case _ if value is None:
                return f":{variable.quote.value}{variable.name}{variable.quote.value}"
            case Quote.LITERAL:
                return bytes(self._escaping.escape_literal(value.encode())).decode()
            case Quote.IDENTIFIER:
                return bytes(self._escaping.escape_identifier(value.encode())).decode()
        return value

    def allow(self, guards: Iterable[Guard]) -> bool:
        """Whether an item under these \\if branches runs."""
        return all(
            truth(self.fill(guard.condition)) and not any(truth(self.fill(other)) for other in guard.unless)
            for guard in guards
        )


def as_sent(conn: psycopg.Connection[tuple[object, ...]], statement: Statement, values: Mapping[str, str]) -> Statement:
    """A statement with the text, and the facts of the text, that these variables make of it."""
    if not statement.pieces:
        return statement
    text = Variables(conn, dict(values)).fill(statement.pieces)
    return replace(statement, text=text, facts=facts_of(text), pieces=())


def truth(text: str) -> bool:
    """psql's reading of a boolean: true, false, yes, no, on, off, 1, 0, and beginnings of these.

    Anything else is false, as psql has it (it prints an error, which \\if takes for false).
    """
    word = text.strip().lower()
    return bool(word) and any(full.startswith(word) for full in TRUE) and word != "o"
