"""The arguments of a psql meta-command, as psql cuts them (psqlscanslash.l)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lexer import QUOTES, VARIABLE, Known, interpolate
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.script_faults import ArgumentWrong, MetaCommandRefused
from tidelock.core.statement import Quote, Variable
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.lexer import Found
    from tidelock.core.script_faults import ScriptFault

Parts = tuple[str | Variable, ...]

NAME = regex(r"[^ \t\n\r\f\v\\]*")
SPACES = regex(r"[ \t\n\r\f\v]*")
PLAIN = regex(r"[^ \t\n\r\f\v\\'\"`:]+")
QUOTED = regex(r"'((?:[^'\\]|''|\\.)*+)'", re.DOTALL)
DOUBLED = regex(r'"[^"]*"')
ESCAPE = regex(r"''|\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", re.DOTALL)
CONTROL = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "f": "\f"}


@record(frozen=True, slots=True)
class Argument:
    """One argument, quotes removed and variables replaced. `spelled` is what the digest takes."""

    parts: Parts
    spelled: str
    quoted: bool
    place: Place

    @property
    def value(self) -> str:
        """The text; what is known at run time alone shows as `:name`."""
        return "".join(part if isinstance(part, str) else f":{part.name}" for part in self.parts)

    @property
    def runtime(self) -> bool:
        """A part of it is known at run time alone."""
        return any(isinstance(part, Variable) for part in self.parts)


def unescaped(match: re.Match[str]) -> str:
    """What an escape within '…' stands for."""
    code = match[1]
    if code is None:
        return "'"
    if code[0] in "01234567":
        return chr(int(code, 8) & 255)
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    return CONTROL.get(code, code)


def joined(parts: list[str | Variable]) -> Parts:
    """Neighbouring texts made one."""
    result: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        elif part != "":
            result.append(part)
    return tuple(result)


class Arguments:
    """The rest of a line behind a meta-command's name."""

    __slots__ = ("dead", "line", "lookup", "name", "place", "pos", "source")

    def __init__(
        self,
        name: str,
        line: str,
        place: Place,
        lookup: Callable[[str], Found],
        *,
        source: str,
        dead: bool = False,
    ) -> None:
        self.name, self.line, self.pos, self.place, self.lookup, self.source = (
            name,
            line,
            len(name),
            place,
            lookup,
            source,
        )
        self.dead = dead
        """In a branch that is not taken: read and thrown away."""

    def at(self, pos: int) -> Place:
        """The place of a character of the line. `place` is that of the backslash before it."""
        return Place(self.place.path, self.place.line, self.place.column + 1 + pos)

    def fault(self, kind: type[ScriptFault], what: str, *, hint: str) -> ScriptFault:
        """A fault at this command."""
        return kind(what, self.place, hint=hint, text=self.source)

    def next(self, *, semicolon: bool = False) -> Argument | None:
        """The next argument. `semicolon`: one at its end does not belong to it."""
        self.pos = start = SPACES.match(self.line, self.pos).end()  # type: ignore[union-attr]
        parts: list[str | Variable] = []
        spelled: list[str] = []
        quoted = False
        bare = 0  # characters at the end that no quote protects
        while self.pos < len(self.line) and self.line[self.pos] not in " \t\n\r\f\v\\":
            if plain := PLAIN.match(self.line, self.pos):
                part: str | Variable = plain.group()
                spelling, bare, self.pos = plain.group(), bare + len(plain.group()), plain.end()
            else:
                before = self.pos
                part, spelling = self.special()
                bare = bare + 1 if self.pos == before + 1 else 0
                quoted = quoted or not bare
            parts.append(part)
            spelled.append(spelling)
        while semicolon and bare and parts and isinstance(parts[-1], str) and parts[-1].endswith(";"):
            parts[-1], spelled[-1], bare = parts[-1][:-1], spelled[-1][:-1], bare - 1
        if not quoted and not any(parts):
            return None
        return Argument(joined(parts), "".join(spelled), quoted, self.at(start))

    def special(self) -> tuple[str | Variable, str]:
        """A quote, a variable or a lone colon, and how the digest spells it."""
        char = self.line[self.pos]
        if char == ":":
            return self.variable()
        if char == "`":
            return self.backtick(), ""
        quote = (QUOTED if char == "'" else DOUBLED).match(self.line, self.pos)
        if quote is None:
            raise ArgumentWrong(
                f"a quoted argument that begins with {char} has no end on this line",
                self.at(self.pos),
                hint=f"close the quote with {char} before the line ends",
                text=self.source,
            )
        self.pos = quote.end()
        value = ESCAPE.sub(unescaped, quote[1]) if char == "'" else quote.group()
        return value, value

    def variable(self) -> tuple[str | Variable, str]:
        """`:name`, `:'name'`, `:"name"`, `:{?name}`; unknown names stay as they are."""
        match = VARIABLE.match(self.line, self.pos)
        if match is None or match.lastgroup is None:
            self.pos += 1
            return ":", ":"
        name, quote = match[match.lastgroup], QUOTES[match.lastgroup]
        self.pos = match.end()
        found = None if self.dead else self.lookup(name)
        if isinstance(found, Variable):
            return Variable(name, quote), match.group()
        if quote is Quote.EXISTS:
            answer = "TRUE" if found else "FALSE"
            return answer, answer
        if not isinstance(found, Known):
            return match.group(), match.group()
        text = interpolate(found, quote)
        return text, match.group() if found.by_name else text

    def backtick(self) -> str:
        """`command`: psql would run it. Skipped where psql would not."""
        end = self.line.find("`", self.pos + 1)
        if not self.dead or end < 0:
            raise MetaCommandRefused(
                "backticks run a program on the machine that migrates",
                self.at(self.pos),
                hint="pass the value with --set name=value and write :name",
                text=self.source,
            )
        self.pos = end + 1
        return ""

    def rest(self, *, semicolon: bool = False) -> list[Argument]:
        """All arguments that are left."""
        found = []
        while (argument := self.next(semicolon=semicolon)) is not None:
            found.append(argument)
        return found

    def whole(self) -> str:
        """The rest of the line as it stands."""
        text = self.line[self.pos :]
        self.pos = len(self.line)
        return text.strip(" \t\n\r\f\v")

    def close(self) -> int:
        """Leave out what is left and a closing `\\\\`; where SQL goes on."""
        self.rest()
        if self.line.startswith("\\\\", self.pos):
            self.pos += 2
        return self.pos


def boolean(text: str) -> bool | None:
    """psql's spelling of a boolean: a beginning of true, false, yes, no; on, of, off, 1, 0. None when it is none."""
    lower = text.lower()
    if lower:
        for word, value in (("true", True), ("false", False), ("yes", True), ("no", False)):
            if word.startswith(lower):
                return value
    if lower in ("on", "1"):
        return True
    return False if lower in ("of", "off", "0") else None
