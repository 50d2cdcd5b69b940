"""psql's lexer: where a statement ends, what is quoted, where a variable or a backslash command stands.

It follows psql (psqlscan.l of PostgreSQL 15 to 18), not the SQL parser: text that no parser can read passes through.
Each stretch is swallowed by one compiled expression, and only quotes, parentheses, colons, semicolons, backslashes and
comment starts are looked at.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from tidelock.core.model import Place
from tidelock.core.statement import Quote, Variable
from tidelock.core.tokens import Segment, stream
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable

SPACE = " \t\n\r\f\v"
# Identifiers hold every character beyond ASCII. Said by what is left out, as `re` takes 30 ms over ranges to U+10FFFF.
NOT_IDENT = r"\x00-#%-/:-@\[-^`{-\x7f"
NOT_START = r"\x00-@\[-^`{-\x7f"
NAME = r"[^\x00-/:-@\[-^`{-\x7f]+"

SPECIAL = re.compile(r"['\"$();:\\/\-]")
BLANK = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")
IDENT_CHAR = re.compile(f"[^{NOT_IDENT}]")
WORD_BEFORE = re.compile(rf"[^{NOT_IDENT}]*\Z")
# What follows an opening quote. Possessive: a doubled quote is never given back as a closing one.
PLAIN = re.compile(r"[^']*+(?:''[^']*+)*+'")
ESCAPED = re.compile(r"[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'", re.DOTALL)
IDENTIFIER = re.compile(r'[^"]*+(?:""[^"]*+)*+"')
LINE_COMMENT = re.compile(r"--[^\n\r]*")
DOLLAR = re.compile(rf"\$(?:[^{NOT_START}](?:{NAME})?)?\$")
DATA_OR_BRANCH = re.compile(r"^(\\\.)$|^[ \t]*\\(?:if|elif|else|endif)\b", re.MULTILINE)
COMMENT_EDGE = re.compile(r"/\*|\*/")
VARIABLE = re.compile(
    rf":(?:(?P<raw>{NAME})|'(?P<literal>{NAME})'|\"(?P<ident>{NAME})\"|\{{\?(?P<test>{NAME})\}}|[:=])"
)
QUOTES = {"raw": Quote.RAW, "literal": Quote.LITERAL, "ident": Quote.IDENTIFIER, "test": Quote.EXISTS}

WORD = re.compile(f"[^{NOT_START}][^{NOT_IDENT}]*|[()]")
ROUTINE = re.compile(
    f"[{NOT_IDENT}]*create[{NOT_IDENT}]+(?:or[{NOT_IDENT}]+replace[{NOT_IDENT}]+)?(?:function|procedure)(?![^{NOT_IDENT}])",
    re.IGNORECASE,
)


class Event(Enum):
    """Why the lexer stopped."""

    SEMICOLON = ";"
    SEPARATOR = "\\;"
    BACKSLASH = "\\"
    END = "end"


@record(frozen=True, slots=True)
class Known:
    """A variable with a value. `by_name`: psql defines it, and the digest takes its name instead of its value."""

    value: str
    by_name: bool = False


Found = Known | Variable | None
"""What looking up a variable gives: a value, something known at run time alone, or nothing."""


@record(frozen=False, slots=True)
class Frame:
    """A text being read: the file itself, or the value of a variable."""

    text: str
    pos: int = 0
    name: str = ""
    place: Place | None = None
    """Where the variable stands; None for the file."""
    spelled: str = ""
    """The variable as the file has it."""


@record(frozen=False, slots=True)
class Piece:
    """One stretch of the query buffer. `origin` is its offset in the file, or the place of its variable."""

    kind: Segment
    text: str
    origin: int | Place
    variable: Variable | None = None
    name: str = ""
    """What the digest takes in place of the text."""
    spelled: str | None = None
    """What the file has in place of the text."""

    @property
    def written(self) -> str:
        """The text as the file has it."""
        return self.text if self.spelled is None else self.spelled


@record(frozen=False, slots=True, kw_only=True)
class Draft:
    """A statement as the lexer leaves it."""

    text: str
    place: Place
    end_line: int
    start: int
    """Offset of its first character in the file, or -1 when it begins inside a variable."""
    stop: int
    """Offset after its last character, likewise."""
    pieces: tuple[str | Variable, ...]
    spans: tuple[tuple[int, Place], ...]
    tokens: tuple[str, ...]
    written: str = ""
    """The text as the file has it, where variables have made another of it."""


def literal(value: str) -> str:
    """`value` as libpq quotes a literal, `E''` when it holds a backslash."""
    doubled = value.replace("'", "''")
    return " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in value else f"'{doubled}'"


def identifier(value: str) -> str:
    """`value` as libpq quotes an identifier."""
    return '"' + value.replace('"', '""') + '"'


def interpolate(found: Known, quote: Quote) -> str:
    """The text that psql puts in the place of a variable."""
    if quote is Quote.LITERAL:
        return literal(found.value)
    return identifier(found.value) if quote is Quote.IDENTIFIER else found.value


def nothing(_name: str) -> Found:
    """A lookup that knows no variable."""
    return None


class Lexer:
    """Reads one file and fills the query buffer, stopping where psql acts."""

    __slots__ = (
        "begins",
        "buffer",
        "code",
        "data_end",
        "depth",
        "extra",
        "file",
        "frames",
        "inner",
        "known",
        "line",
        "line_start",
        "lookup",
        "opened",
        "opened_at",
        "path",
        "pos",
        "routine_seen",
        "shifts",
        "standard",
        "standard_from",
        "text",
        "variables",
    )  # fmt: skip

    def __init__(
        self, path: str, text: str, lookup: Callable[[str], Found] = nothing, *, standard: bool = True
    ) -> None:
        self.path, self.file, self.text, self.lookup = path, text, text, lookup
        self.pos = self.code = 0
        """Where to look next, and where the code that is not yet in the buffer began."""
        self.frames: list[Frame] = []
        """The texts around the value being read; empty while the file itself is read."""
        self.variables: Frame | None = None
        self.buffer: list[Piece] = []
        self.depth = 0
        self.routine_seen = 0
        """How much of the buffer was searched for BEGIN and END."""
        self.begins = self.inner = 0
        self.opened: re.Pattern[str] | str | int | None = None
        """What is open: a quote (the expression of its rest), a dollar tag, or a comment (its depth)."""
        self.opened_at: int | Place = 0
        self.data_end = -1
        """Where COPY data ended: that of another COPY sent with it begins there."""
        self.extra = 0
        """How many characters of `rest_of_line` came out of variables."""
        self.standard = standard
        self.standard_from: tuple[int, bool] | None = None
        self.known = self.line_start = 0
        self.line = 1
        self.shifts: list[tuple[int, int]] = []

    # Places

    def place(self, offset: int) -> Place:
        """The place of an offset in the file. Cheap when offsets ascend."""
        line = self.line_of(offset)
        return Place(self.path, line, offset - self.line_start + 1)

    def line_of(self, offset: int) -> int:
        """Its line alone."""
        if offset < self.known:
            self.known, self.line, self.line_start = 0, 1, 0
        lines = self.file.count("\n", self.known, offset)
        if lines:
            self.line += lines
            self.line_start = self.file.rfind("\n", self.known, offset) + 1
        self.known = offset
        line = self.line
        for at, more in self.shifts:
            line += more if offset >= at else 0
        return line

    def here(self) -> Place:
        """The place of the next character; inside a variable's value, the place of the variable."""
        return self.variables.place if self.variables and self.variables.place else self.place(self.pos)

    # The query buffer

    def put(self, kind: Segment, start: int, stop: int) -> None:
        """Move a stretch of the text into the buffer. Blanks and comments before the first token stay out."""
        if kind is Segment.COMMENT and not self.buffer and not self.text.startswith("/*+", start):
            return  # hints (pg_hint_plan) are read from the front of the statement
        if stop > start:
            origin = self.variables.place if self.variables else start
            if origin is None or self.variables is None:
                self.buffer.append(Piece(kind, self.text[start:stop], start))
                return
            begun = bool(self.buffer) and self.buffer[-1].origin is origin
            spelled = "" if begun else self.variables.spelled
            self.buffer.append(Piece(kind, self.text[start:stop], origin, spelled=spelled))

    def flush(self, upto: int) -> None:
        """Move the code read so far into the buffer."""
        if not self.buffer and (blank := BLANK.match(self.text, self.code, upto)):
            self.code = blank.end()
        self.put(Segment.CODE, self.code, upto)
        self.code = upto

    def mark(self) -> tuple[int, int]:
        """The state to which `rewind` returns."""
        self.flush(self.pos)
        return len(self.buffer), self.depth

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget what was read since `mark`."""
        del self.buffer[mark[0] :]
        self.depth = mark[1]
        self.code = self.pos

    def forget(self, mark: tuple[int, int]) -> None:
        """Drop the text read since `mark` and keep the count of parentheses: a branch that is not taken goes on."""
        del self.buffer[mark[0] :]
        self.routine_seen = min(self.routine_seen, mark[0])
        self.code = self.pos

    def clear(self) -> None:
        """Empty the buffer and forget parentheses, as psql does after \\g and \\r."""
        self.buffer = []
        self.depth = self.routine_seen = self.begins = self.inner = 0
        self.code = self.pos

    @property
    def empty(self) -> bool:
        """Nothing but blanks and comments is in the buffer."""
        return not any(each.kind is not Segment.COMMENT and each.text.strip(SPACE) for each in self.buffer)

    def take(self) -> Draft | None:
        """The buffer as a statement, and an empty buffer; None when it holds no token."""
        pieces = trimmed(self.buffer)
        self.clear()
        if not pieces:
            return None
        text = "".join([each.text for each in pieces])
        written = "".join([each.written for each in pieces])
        spans = () if self.in_one_piece(pieces, len(text)) else self.spans(pieces)
        first = next(each for each in pieces if each.kind is not Segment.COMMENT)
        place = first.origin if isinstance(first.origin, Place) else self.place(first.origin)
        start, last = pieces[0].origin, pieces[-1]
        return Draft(
            text=text,
            place=place,
            end_line=self.end_line(last),
            start=start if isinstance(start, int) else -1,
            stop=last.origin + len(last.text) if isinstance(last.origin, int) else -1,
            pieces=runtime_pieces(pieces),
            spans=spans if len(spans) > 1 or (spans and spans[0][1] != place) else (),
            tokens=tuple(stream([(each.kind, each.name or each.text) for each in pieces])),
            written=written if written != text else "",
        )

    def in_one_piece(self, pieces: list[Piece], length: int) -> bool:
        """The statement is a stretch of the file as it is, from its first token on: its place says all."""
        first, last = pieces[0], pieces[-1]
        return (
            not self.shifts
            and first.kind is not Segment.COMMENT
            and {type(each.origin) for each in pieces} == {int}
            and last.origin + len(last.text) - first.origin == length  # type: ignore[operator]  # both are int
        )

    def end_line(self, last: Piece) -> int:
        """The line of the semicolon, or of the last token where the file ends without one."""
        if self.pos < len(self.text) or self.text.endswith(";") or isinstance(last.origin, Place):
            return self.here().line
        return self.place(last.origin + len(last.text)).line

    def spans(self, pieces: list[Piece]) -> tuple[tuple[int, Place], ...]:
        """Where the characters of the statement come from."""
        found: list[tuple[int, Place]] = []
        offset, expected = 0, -1
        for piece in pieces:
            origin, text = piece.origin, piece.text
            if isinstance(origin, Place):
                found.append((offset, origin))
                expected = -1
            else:
                if origin != expected:
                    found.append((offset, self.place(origin)))
                newline = text.find("\n")
                while newline >= 0:
                    found.append((offset + newline + 1, self.place(origin + newline + 1)))
                    newline = text.find("\n", newline + 1)
                expected = origin + len(text)
            offset += len(text)
        return tuple(found)

    # Reading

    def scan(self) -> Event:
        """Read on until psql would act: a semicolon, a backslash command, or the end of the file."""
        while True:
            if self.opened is not None:
                self.finish(self.pos, self.pos)
            if not self.buffer and self.code == self.pos and (blank := BLANK.match(self.text, self.pos)):
                self.pos = self.code = blank.end()
            special = SPECIAL.search(self.text, self.pos) if self.opened is None else None
            if special is None:
                self.pos = len(self.text)
                self.flush(self.pos)
                if not self.frames:
                    return Event.END
                self.pop()
                continue
            event = HANDLERS[special.group()](self, special.start())
            if event is not None:
                return event

    def pop(self) -> None:
        """Go back to the text around the value that was read."""
        frame = self.frames.pop()
        self.text, self.pos, self.code = frame.text, frame.pos, frame.pos
        self.variables = frame if frame.place else None

    def push(self, value: str, name: str, place: Place, spelled: str = "") -> None:
        """Read the value of a variable before the rest, as if it stood in the file."""
        around = self.variables or Frame(self.text)
        around.text, around.pos = self.text, self.pos
        self.frames.append(around)
        self.variables = Frame(value, 0, name, place, spelled)
        self.text, self.pos, self.code = value, 0, 0

    def enter(self, start: int, after: int, opened: re.Pattern[str] | str | int) -> None:
        """A quote or comment begins at `start`; its inside begins at `after`."""
        self.flush(start)
        self.opened = opened
        self.opened_at = self.variables.place if self.variables and self.variables.place else start
        self.finish(start, after)

    def finish(self, start: int, after: int) -> None:
        """Read to the end of what is open. It may lie beyond the end of a variable's value."""
        kind = Segment.COMMENT if isinstance(self.opened, int) else Segment.LITERAL
        end = self.end_of_opened(after)
        self.pos = len(self.text) if end < 0 else end
        self.put(kind, start, self.pos)
        self.code = self.pos
        if end >= 0:
            self.opened = None

    def end_of_opened(self, after: int) -> int:
        """The offset behind the closing quote or comment mark, -1 when the text ends first."""
        if isinstance(self.opened, str):
            found = self.text.find(self.opened, after)
            return found + len(self.opened) if found >= 0 else -1
        if isinstance(self.opened, re.Pattern):
            match = self.opened.match(self.text, after)
            return match.end() if match else -1
        for edge in COMMENT_EDGE.finditer(self.text, after):
            self.opened = (self.opened or 0) + (1 if edge.group() == "/*" else -1)
            if self.opened == 0:
                return edge.end()
        return -1

    def starts_word(self, at: int) -> bool:
        """No identifier or number reaches into `at`."""
        return at == self.code or not IDENT_CHAR.match(self.text[at - 1])

    # One method for each character that matters

    def on_quote(self, at: int) -> Event | None:
        """`'`, with the prefix that decides what a backslash means."""
        start, escapes = at, not self.conforming(at)
        before = self.text[at - 1].lower() if at > self.code else ""
        if before and before in "ebxn" and self.starts_word(at - 1):
            start = at - 1
            escapes = before == "e" or (before == "n" and escapes)
        elif before == "&" and at - 2 >= self.code and self.text[at - 2] in "uU" and self.starts_word(at - 2):
            start, escapes = at - 2, False
        self.enter(start, at + 1, ESCAPED if escapes else PLAIN)
        return None

    def conforming(self, at: int) -> bool:
        """Whether standard_conforming_strings holds here. psql asks once a line, so a SET counts from the next one."""
        if self.standard_from and (self.frames[0].pos if self.frames else at) >= self.standard_from[0]:
            self.standard, self.standard_from = self.standard_from[1], None
        return self.standard

    def on_double(self, at: int) -> Event | None:
        """`"`, or `U&"`."""
        unicode = at - 2 >= self.code and self.text[at - 2 : at] in ("u&", "U&") and self.starts_word(at - 2)
        self.enter(at - 2 if unicode else at, at + 1, IDENTIFIER)
        return None

    def on_dollar(self, at: int) -> Event | None:
        """`$`: a dollar quote, unless it is part of an identifier or a parameter."""
        tag = DOLLAR.match(self.text, at)
        word = WORD_BEFORE.search(self.text, max(self.code, at - 64), at) if tag else None
        if tag is None or (word and word.group() and not word.group()[0].isdigit()):
            self.pos = at + 1
        else:
            self.enter(at, tag.end(), tag.group())
        return None

    def on_open(self, at: int) -> Event | None:
        """`(`."""
        self.depth += 1
        self.pos = at + 1
        return None

    def on_close(self, at: int) -> Event | None:
        """`)`."""
        self.depth = max(0, self.depth - 1)
        self.pos = at + 1
        return None

    def on_semicolon(self, at: int) -> Event | None:
        """`;` ends the statement outside parentheses and BEGIN … END bodies."""
        self.pos = at + 1
        if self.depth or self.in_body(at):
            return None
        self.flush(at)
        self.code = self.pos
        return Event.SEMICOLON

    def in_body(self, at: int) -> bool:
        """Inside BEGIN ATOMIC … END. psql counts words, and only after CREATE [OR REPLACE] FUNCTION or PROCEDURE."""
        head = self.buffer[0].text if self.buffer else self.text[self.code : self.code + 8]
        if not (head[:1] in "cC(/" or self.frames or self.begins):
            return False
        if not self.routine_seen:
            code = [each.text for each in self.buffer if each.kind is Segment.CODE]
            if not ROUTINE.match(" ".join([*code, self.text[self.code : at]])):
                return False
        self.flush(at)
        for piece in self.buffer[self.routine_seen :]:
            if piece.kind is Segment.CODE:
                self.count_words(piece.text)
        self.routine_seen = len(self.buffer)
        return self.begins > 0

    def count_words(self, code: str) -> None:
        """BEGIN, CASE and END outside parentheses."""
        for word in WORD.findall(code):
            if word == "(":
                self.inner += 1
            elif word == ")":
                self.inner = max(0, self.inner - 1)
            elif self.inner == 0:
                lower = word.lower()
                if lower == "begin" or (lower == "case" and self.begins):
                    self.begins += 1
                elif lower == "end" and self.begins:
                    self.begins -= 1

    def on_dash(self, at: int) -> Event | None:
        """`--` to the end of the line."""
        if self.text.startswith("--", at):
            self.flush(at)
            comment = LINE_COMMENT.match(self.text, at)
            self.pos = comment.end() if comment else at
            self.put(Segment.COMMENT, at, self.pos)
            self.code = self.pos
        else:
            self.pos = at + 1
        return None

    def on_slash(self, at: int) -> Event | None:
        """`/*`, nested, to its `*/`."""
        if self.text.startswith("/*", at):
            self.enter(at, at + 2, 1)
        else:
            self.pos = at + 1
        return None

    def on_colon(self, at: int) -> Event | None:
        """`:name` and its forms; `::`, `:=` and unknown names stay as they are."""
        match = VARIABLE.match(self.text, at)
        self.pos = match.end() if match else at + 1
        if match is None or match.lastgroup is None:
            return None
        name, quote = match[match.lastgroup], QUOTES[match.lastgroup]
        found = self.lookup(name)
        if isinstance(found, Variable):
            self.insert(at, f":{match.group()[1:]}", Variable(name, quote))
        elif quote is Quote.EXISTS:
            self.insert(at, "TRUE" if found else "FALSE", None)
        elif found is not None and (found.by_name or quote is not Quote.RAW):
            by_name = match.group() if found.by_name else ""
            self.insert(
                at, interpolate(found, quote), None, by_name=by_name, spelled=None if by_name else match.group()
            )
        elif found is not None and not self.being_read(name):
            self.flush(at)
            self.push(
                found.value,
                name,
                self.variables.place if self.variables and self.variables.place else self.place(at),
                match.group(),
            )
        return None

    def being_read(self, name: str) -> bool:
        """A variable whose value is being read is not replaced again: psql warns and leaves it."""
        return any(each and each.name == name for each in (self.variables, *self.frames))

    def insert(
        self, at: int, text: str, variable: Variable | None, *, by_name: str = "", spelled: str | None = None
    ) -> None:
        """Put the value of a variable into the buffer without reading it again."""
        self.flush(at)
        place = self.variables.place if self.variables and self.variables.place else self.place(at)
        kind = Segment.NAME if variable or by_name else Segment.LITERAL
        self.buffer.append(Piece(kind, text, place, variable, by_name, spelled))
        self.code = self.pos

    def on_backslash(self, at: int) -> Event | None:
        """`\\;` and `\\:` put the character itself into the buffer; anything else is a command."""
        following = self.text[at + 1 : at + 2]
        self.flush(at)
        if following == ":" or (following == ";" and (self.depth or self.in_body(at))):
            self.code, self.pos = at + 1, at + 2
            return None
        self.pos = self.code = at + (2 if following == ";" else 1)
        return Event.SEPARATOR if following == ";" else Event.BACKSLASH

    # What the reader of meta-commands needs

    def rest_of_line(self) -> str:
        """The text from here to the end of the line, out of the values being read too. They are left."""
        parts = []
        while self.frames:
            parts.append(self.text[self.pos :])
            self.pop()
        self.extra = sum(map(len, parts))
        end = self.text.find("\n", self.pos)
        parts.append(self.text[self.pos : len(self.text) if end < 0 else end])
        return "".join(parts)

    def consume(self, line: str, count: int) -> None:
        """Step over the characters of `rest_of_line` that a command has read."""
        place = self.here()
        self.pos = self.code = self.pos + max(0, count - self.extra)
        if count < self.extra:
            self.push(line[count : self.extra], "", place)

    def data(self) -> str:
        """COPY data: from the next line to `\\.` or the end. What follows the statement on its own line is kept."""
        pos = self.frames[0].pos if self.frames else self.pos
        line_end = pos - 1 if pos == self.data_end else self.file.find("\n", pos)
        if line_end < 0:
            return ""
        start = line_end + 1
        stop, after = end_of_data(self.file, start)
        data = self.file[start:stop]
        blank = BLANK.match(self.file, pos, line_end)
        if not self.frames and (pos >= line_end or (blank and blank.end() == line_end)):
            self.pos = self.code = self.data_end = after
        else:
            self.cut(start, after)
        return data

    def data_is_below(self) -> bool:
        """The lines below hold COPY data: they come to its end before they come to another branch."""
        line_end = self.file.find("\n", self.pos)
        if self.frames or line_end < 0 or "\\" in self.file[self.pos : line_end]:
            return False
        found = DATA_OR_BRANCH.search(self.file, line_end)
        return found is not None and found[1] is not None

    def cut(self, start: int, stop: int) -> None:
        """Take a stretch out of the file that psql has read ahead. Places behind it stay right."""
        self.shifts.append((start, self.file.count("\n", start, stop)))
        self.file = self.file[:start] + self.file[stop:]
        if self.frames:
            self.frames[0].text = self.file
        else:
            self.text = self.file

    def conform(self, standard: bool) -> None:
        """standard_conforming_strings was set: psql follows from the next line on."""
        self.conforming(self.pos)
        end = self.file.find("\n", self.frames[0].pos if self.frames else self.pos)
        self.standard_from = (len(self.file) if end < 0 else end, standard)


def end_of_data(text: str, start: int) -> tuple[int, int]:
    """Where COPY data ends, and where the script goes on."""
    if text.startswith("\\.\n", start):
        return start, start + 3
    found = text.find("\n\\.\n", start)
    if found >= 0:
        return found + 1, found + 4
    if text.endswith("\n\\.") and len(text) - 3 >= start - 1:
        return len(text) - 2, len(text)
    return len(text), len(text)


def trimmed(pieces: list[Piece]) -> list[Piece]:
    """Without the blanks and comments at the end."""
    while pieces:
        last = pieces[-1]
        if last.kind is Segment.CODE and (text := last.text.rstrip(SPACE)):
            if len(text) < len(last.text):
                pieces[-1] = Piece(last.kind, text, last.origin, spelled=last.spelled)
            return pieces
        if last.kind in (Segment.LITERAL, Segment.NAME):
            return pieces
        pieces.pop()
    return pieces


def runtime_pieces(pieces: list[Piece]) -> tuple[str | Variable, ...]:
    """Text and variables in turn, empty when no variable is left to run time."""
    if not any(each.variable for each in pieces):
        return ()
    parts: list[str | Variable] = []
    for each in pieces:
        if each.variable:
            parts.append(each.variable)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += each.text
        else:
            parts.append(each.text)
    return tuple(parts)


HANDLERS: dict[str, Callable[[Lexer, int], Event | None]] = {
    "'": Lexer.on_quote,
    '"': Lexer.on_double,
    "$": Lexer.on_dollar,
    "(": Lexer.on_open,
    ")": Lexer.on_close,
    ";": Lexer.on_semicolon,
    ":": Lexer.on_colon,
    "\\": Lexer.on_backslash,
    "/": Lexer.on_slash,
    "-": Lexer.on_dash,
}
