"""A psql script → statements, COPY data and meta-commands, with line and column, as `psql -f` reads it.

What is known is replaced at once. What a query decides (`\\gset`) stays a Variable in `Statement.pieces`, and an `\\if`
on it becomes a Guard on each item of its branches.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tidelock.core import plain
from tidelock.core.arguments import NAME, Arguments
from tidelock.core.lexer import Event, Lexer
from tidelock.core.metacommands import BRANCHING, WHOLE_LINE, action_named
from tidelock.core.model import Place
from tidelock.core.script_faults import BrokenCondition, RestrictMismatch, ScriptFault, Unterminated, VariableRefused
from tidelock.core.session import SETTING, UNKNOWABLE, Session, session
from tidelock.core.statement import UNKNOWN, Ending, Guard, Script, Statement
from tidelock.core.tokens import TOKENS_VERSION, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.conditions import Branch
    from tidelock.core.lexer import Draft, Found
    from tidelock.core.statement import Facts

__all__ = ["TOKENS_VERSION", "pieces_of", "read", "tokens_of"]


class Reader:
    """Reads one file of a script."""

    __slots__ = (
        "branches",
        "group",
        "lexer",
        "outer",
        "path",
        "plain",
        "previous",
        "quit",
        "session",
        "stack",
        "text",
    )

    def __init__(
        self,
        shared: Session,
        path: str,
        text: str,
        *,
        stack: tuple[str, ...] = (),
        guards: tuple[Guard, ...] = (),
    ) -> None:
        self.session, self.path = shared, path
        self.text = shared.sources[path] = normalised(text)
        self.stack = (*stack, path)
        self.outer = guards
        self.branches: list[Branch] = []
        self.group: list[Draft] = []
        """Statements that `\\;` has ended: they are sent with the next one."""
        self.previous: list[Draft] = []
        """What was sent last, for \\g to repeat."""
        self.quit = False
        self.plain = not shared.digests and "\\g" not in text
        """Common statements are read at one glance: nobody asks for their tokens, as \\gset would for the last's."""
        self.lexer = Lexer(path, self.text, self.lookup, standard=shared.standard.on)
        shared.standard.tracked |= SETTING in self.text.lower()

    @property
    def live(self) -> bool:
        """The branch being read may run."""
        return not self.branches or self.branches[-1].live

    @property
    def guards(self) -> tuple[Guard, ...]:
        """The conditions that run time decides, the outermost first."""
        if not self.branches:
            return self.outer
        return (*self.outer, *(each.guard for each in self.branches if each.guard))

    def lookup(self, name: str) -> Found:
        """A variable's value; in a branch that is not taken psql replaces nothing."""
        return self.session.lookup(name) if self.live else None

    def run(self) -> None:
        """Read the file to its end, or to `\\q`."""
        lexer = self.lexer
        while not self.quit:
            if self.plain and self.common():
                continue
            event = lexer.scan()
            if event is Event.BACKSLASH:
                self.command()
            elif event is Event.END:
                break
            elif not self.live:
                self.skip()
            elif event is Event.SEMICOLON:
                self.send(Ending.SEMICOLON)
            else:
                self.separate()
        self.end()

    def common(self) -> bool:
        """Read the next statement at one glance and send it; False, and nothing read, where that cannot be."""
        lexer = self.lexer
        started = lexer.buffer or lexer.code != lexer.pos or lexer.opened is not None or self.group
        if started or lexer.frames or lexer.shifts or self.session.standard.tracked or not self.live:
            return False
        draft = plain.take(lexer)
        if draft is None:
            return False
        self.previous = [draft]
        self.emit(draft, Ending.SEMICOLON, "")
        return True

    def end(self) -> None:
        """psql sends what is in the buffer at the end of the file."""
        lexer = self.lexer
        if lexer.opened is not None and not self.quit and self.live:
            at = lexer.opened_at
            what = {int: "comment /*", str: f"quote {lexer.opened}"}.get(type(lexer.opened), "quote")
            raise Unterminated(
                f"the {what} that begins here has no end",
                at if isinstance(at, Place) else lexer.place(at),
                hint="close it; everything behind it, to the end of the file, was read as its content",
                text=self.text,
            )
        if self.branches and not self.quit:
            raise BrokenCondition(
                "\\if has no \\endif",
                self.branches[-1].place,
                hint="add \\endif where the branch ends",
                text=self.text,
            )
        if self.live:
            self.send(Ending.EOF)

    # Statements

    def separate(self) -> None:
        """`\\;` ends a statement; it is sent together with the next."""
        draft = self.lexer.take()
        if draft:
            self.group.append(draft)

    def set_aside(self) -> None:
        """Empty the buffer without sending it; `\\g` would still repeat it."""
        draft = self.lexer.take()
        self.previous = [draft] if draft else self.previous

    def skip(self) -> None:
        """A semicolon in a branch that is not taken. psql would trip over COPY data there; it is stepped over."""
        mark = self.branches[-1].mark
        if mark[0] == 0:
            draft = self.lexer.take()
            if draft and copies_in(draft.tokens) and self.lexer.data_is_below():
                self.lexer.data()
        self.lexer.forget(mark)

    def send(self, ending: Ending, prefix: str = "") -> None:
        """Send the buffer. An empty one is left out, though psql sends its semicolon."""
        draft = self.lexer.take()
        drafts = [*self.group, draft] if draft else self.group
        if not drafts and ending not in (Ending.SEMICOLON, Ending.EOF):
            drafts = self.previous
        self.group, self.previous = [], drafts or self.previous
        for each in drafts[:-1]:
            self.emit(each, Ending.SEPARATOR, "")
        for each in drafts[-1:]:
            self.emit(each, ending, prefix)

    def emit(self, draft: Draft, ending: Ending, prefix: str, data: str | None = None) -> None:
        """Make a statement of a draft."""
        session, guards = self.session, self.guards
        counted = data.removeprefix("\ufeff") if data else data  # psql loads it, the digest never had it
        if data is None and draft.tokens and copies_in(draft.tokens):
            data = counted = self.lexer.data()
        tokens = statement_digest(draft.tokens, ending, prefix, guards, counted) if session.digests else ""
        statement = Statement(
            text=draft.text,
            place=draft.place,
            end_line=draft.end_line,
            pieces=draft.pieces,
            spans=draft.spans,
            copy_data=data,
            ending=ending,
            gset_prefix=prefix,
            guards=guards,
            tokens=tokens,
            facts=session.facts(draft.text) if session.facts else UNKNOWN,
            written=draft.written,
        )
        session.items.append(statement)
        if session.asked:
            self.refuse_unknowable(statement)
        session.marks.append(tokens)
        if session.standard.tracked and session.standard.after(draft.tokens):
            self.lexer.conform(session.standard.on)

    def refuse_unknowable(self, statement: Statement) -> None:
        """Refuse a statement whose text would be the name of a variable, where psql would send a value."""
        names = "|".join(self.session.asked & UNKNOWABLE.keys())
        found = re.search(rf":(['\"]?)({names})\1(?!\w)", statement.text) if names else None
        if found:
            raise VariableRefused(
                f":{found[2]} is a variable that psql sets and Tidelock does not",
                statement.place_at(found.start()),
                hint=UNKNOWABLE[found[2]],
                text=self.text,
            )

    def emit_copy(self, draft: Draft, place: Place, data: str | None) -> None:
        """Send the COPY that `\\copy` stands for. Its data is that of a file, or the lines below."""
        self.emit(replace(draft, place=place, end_line=place.line, spans=()), Ending.SEMICOLON, "", data)

    def child(self, path: str, text: str) -> Reader:
        """The reader of an included file: a query buffer and conditions of its own."""
        return Reader(self.session, path, text, stack=self.stack, guards=self.guards)

    # Meta-commands

    def command(self) -> None:
        """Read and carry out a backslash command."""
        lexer = self.lexer
        here = lexer.here()
        place = here if lexer.variables else Place(here.path, here.line, here.column - 1)
        line = lexer.rest_of_line()
        name = NAME.match(line).group()  # type: ignore[union-attr]
        arguments = Arguments(name, line, place, self.lookup, source=self.text, dead=not self.live)
        name = "copy" if name.lower() == "copy" else name  # the one command that psql takes in capitals too
        action = action_named(name, arguments)
        if self.session.restricted and name != "unrestrict":
            raise RestrictMismatch(
                f"\\{name} stands between \\restrict and \\unrestrict, where psql allows no other command",
                place,
                hint="move it behind \\unrestrict",
                text=self.text,
            )
        then: Callable[[], None] | None = None
        if self.live or name in BRANCHING:
            then = action(self, arguments)
        elif name in WHOLE_LINE:
            arguments.whole()
        lexer.consume(line, arguments.close())
        if then:
            then()

    def mark(self, *words: str) -> None:
        """Let something count in the script's digest."""
        self.session.marks.append(digest([*words, *guard_words(self.guards)]))


def normalised(text: str) -> str:
    """Without a byte order mark, lines ended by LF."""
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n") if "\r\n" in text else text


def copies_in(tokens: Sequence[str]) -> bool:
    """COPY … FROM STDIN: psql sends the lines behind it as data."""
    if tokens[0] != "copy":
        return False
    depth = 0
    for index, word in enumerate(tokens):
        if word in "()":
            depth += 1 if word == "(" else -1
        elif word == "from" and depth == 0:
            # The grammar takes FROM STDOUT for FROM STDIN, and regression tests rely on it.
            return tuple(tokens[index + 1 : index + 2]) in (("stdin",), ("stdout",))
    return False


def guard_words(guards: Sequence[Guard]) -> list[str]:
    """Conditions that run time decides, as the digest takes them."""
    words: list[str] = []
    for guard in guards:
        for parts in (guard.condition, *guard.unless):
            words += ["", "\\if", *(each if isinstance(each, str) else f":{each.quote}{each.name}" for each in parts)]
    return words


def statement_digest(
    tokens: Sequence[str], ending: Ending, prefix: str, guards: Sequence[Guard], data: str | None
) -> str:
    """The digest of one statement: its tokens, and what is done with it where that is not the usual."""
    words = list(tokens)
    if ending in (Ending.SEPARATOR, Ending.GSET, Ending.GEXEC):
        words += ["", ending.value, prefix]
    words += guard_words(guards)
    if data is not None:
        words += ["", "data", data]
    return digest(words)


def read(
    path: str,
    text: str,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    load: Callable[[str], str] | None = None,
    database: str | None = None,
    specials: Mapping[str, str] = MappingProxyType({}),
    facts: Callable[[str], Facts] | None = None,
    digests: bool = True,
) -> Script:
    """Read a psql script as `psql -f` would, without a server. Raises a ScriptFault (S020 to S039).

    `variables` are those of `--set`. `load` gives the text of a file that the script names, by its path; without it
    such files are refused. `database` is the name of the target: `\\c` to it is nothing. `specials` are variables that
    psql itself defines (USER, HOST, PORT, SERVER_VERSION_NUM, …): they enter the digest by name, and one that is not
    given is left to run time. `facts` says what is known of a statement by its text. Without `digests` all of them are
    empty, and reading takes half the time.

    The script's digest is made of those of its statements (COPY data, \\gset, \\gexec and run-time conditions in) and
    of the \\set, \\unset, \\if, \\c and \\q that were carried out. Branches that are not taken and commands that only
    show something (\\echo, \\timing, \\pset, \\restrict, …) are not in it; of an included file its content is.
    """
    shared = session(path, variables=variables, load=load, database=database, specials=specials)
    shared.facts, shared.digests = facts, digests
    Reader(shared, path, text).run()
    tokens = digest([str(TOKENS_VERSION), *shared.marks]) if digests else ""
    return Script(tuple(shared.items), MappingProxyType(shared.sources), tokens, shared.beside)


def tokens_of(text: str) -> str:
    """The digest of SQL text: no variables, no meta-commands, a backslash is a character like others."""
    lexer = Lexer("", normalised(text))
    words: list[str] = []
    while True:
        event = lexer.scan()
        if event is Event.BACKSLASH:
            lexer.code -= 1
            continue
        draft = lexer.take()
        words += [*draft.tokens, ";"] if draft else []
        if event is Event.END:
            return digest(words)


def pieces_of(text: str) -> list[tuple[str, str]]:
    """The file in pieces, each with its kind; put together they are `text`.

    Kinds: `statement` (without its semicolon), `gap` (blanks, comments and what ends a statement), `command` (a
    meta-command with its arguments) and `data` (below COPY … FROM STDIN, `\\.` included). Variables stay.
    """
    lexer = Lexer("", text)
    marks: list[tuple[str, int]] = []
    event = None
    while event is not Event.END:
        event = lexer.scan()
        upto = lexer.pos - (event is Event.BACKSLASH)
        draft = lexer.take()
        if draft:
            marks += [("gap", draft.start), ("statement", draft.stop)]
        marks.append(("gap", upto))
        if event is Event.BACKSLASH:
            line = lexer.rest_of_line()
            lexer.consume(line, command_length(line))
            marks.append(("command", lexer.pos))
        elif draft and copies_in(draft.tokens) and not lexer.rest_of_line().strip():
            marks.append(("gap", min(text.find("\n", lexer.pos) + 1 or len(text), len(text))))
            lexer.data()
            marks.append(("data", lexer.pos))
    marks.append(("gap", len(text)))
    return cut(text, marks)


def cut(text: str, marks: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """`text` in pieces that end where `marks` say, empty ones left out and neighbouring gaps made one."""
    pieces: list[tuple[str, str]] = []
    start = 0
    for kind, end in marks:
        if end > start:
            if kind == "gap" and pieces and pieces[-1][0] == "gap":
                pieces[-1] = (kind, pieces[-1][1] + text[start:end])
            else:
                pieces.append((kind, text[start:end]))
            start = end
    return pieces


def command_length(line: str) -> int:
    """How much of a line a meta-command takes, its closing `\\\\` included."""
    name = NAME.match(line).group()  # type: ignore[union-attr]
    arguments = Arguments(name, line, Place("", 1), lambda _: None, source="", dead=True)
    if name in WHOLE_LINE or name.lower() == "copy":
        return len(line)
    try:
        return arguments.close()
    except ScriptFault:
        return len(line)
