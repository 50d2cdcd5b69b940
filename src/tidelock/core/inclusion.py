"""Files that a script names: `\\i`, `\\ir`, and the data of `\\copy`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tidelock.core.lexer import Lexer, end_of_data
from tidelock.core.patterns import regex
from tidelock.core.script_faults import (
    ArgumentWrong,
    CopyRefused,
    DecidedTooLate,
    IncludeRefused,
    MetaCommandRefused,
    ScriptFault,
)
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from tidelock.core.arguments import Arguments
    from tidelock.core.script import Reader

Then = Callable[[], None] | None

INCLUDING = {"i": False, "include": False, "ir": True, "include_relative": True}
"""Command → whether a name counts from the file that holds the line."""
MAX_DEPTH = 16
"""Files within files. psql has no limit and runs out of descriptors."""


def resolved(reader: Reader, name: str, beside: str, arguments: Arguments) -> str:
    """The path of a file that the script names, inside the directory of the migration."""
    directory = posixpath.normpath(posixpath.dirname(reader.session.root) or ".")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(beside), name))
    within = path.startswith(directory.rstrip("/") + "/") if directory != "." else not path.startswith(("../", "/"))
    if name.startswith(("/", "~")) or path == ".." or not within:
        raise arguments.fault(
            IncludeRefused,
            f"{name} lies outside the migration directory {directory}",
            hint="move the file into the directory and name it relative to the migration",
        )
    return path


def below(reader: Reader, path: str) -> str:
    """The path of a file from the directory of the migration: the same wherever one stands."""
    return posixpath.relpath(path, posixpath.dirname(reader.session.root) or ".")


def loaded(reader: Reader, path: str, arguments: Arguments, *, encoded: bool = False) -> str:
    """The text of a file beside the migration. `encoded`: what is not UTF-8 in it is left to the server."""
    if reader.session.load is None:
        raise arguments.fault(
            IncludeRefused,
            f"{path} cannot be read here: this script stands alone",
            hint="put its content into the migration",
        )
    try:
        text = reader.session.load(path)
    except SourceFault as error:
        raise unread(arguments, error.message) from error
    except (OSError, LookupError) as error:
        raise unread(arguments, f"{path} cannot be read ({error})") from error
    try:
        encoded or text.encode()
    except UnicodeEncodeError as error:
        name_it = "" if arguments.name in INCLUDING else ", or name its encoding: with (format csv, encoding 'LATIN1')"
        raise arguments.fault(
            IncludeRefused,
            f"{path}:{text.count(chr(10), 0, error.start) + 1} is not UTF-8",
            hint=f"convert the file: iconv -f LATIN1 -t UTF-8{name_it}",
        ) from None
    return text


def unread(arguments: Arguments, why: str) -> ScriptFault:
    """A file that is not there, or not to be read."""
    return arguments.fault(IncludeRefused, why, hint="add the file to the migration directory, or mend its name here")


def include(reader: Reader, arguments: Arguments) -> Then:
    """`\\i` beside the migration itself, `\\ir` beside the file that holds the line."""
    name = arguments.next(semicolon=True)
    if name is None or name.runtime:
        fault: type[ScriptFault] = DecidedTooLate if name else ArgumentWrong
        raise arguments.fault(
            fault,
            f"\\{arguments.name} {'depends on a query’s result' if name else 'names no file'}",
            hint="name the file",
        )
    path = resolved(reader, name.value, reader.path if INCLUDING[arguments.name] else reader.session.root, arguments)
    if path in reader.stack or len(reader.stack) >= MAX_DEPTH:
        raise arguments.fault(
            IncludeRefused,
            f"{path} is being read already: {' → '.join((*reader.stack, path))}"
            if path in reader.stack
            else f"{path} is file {MAX_DEPTH + 1} within files",
            hint="take the inclusion out that closes the circle",
        )
    text = loaded(reader, path, arguments)
    reader.session.counts(below(reader, path), text.replace("\r\n", "\n"))
    return lambda: reader.child(path, text).run()


def copy(reader: Reader, arguments: Arguments) -> Then:
    """`\\copy t from 'file'` → COPY t FROM STDIN with the file's content; `from stdin` takes the lines below."""
    line = arguments.whole()
    before, direction, source, options = parts_of_copy(line.rstrip("; \t"))
    if direction != "from" or not source:
        refuse_copy(f"\\copy {'writes a file' if direction == 'to' else 'cannot be read'}: {line}", arguments)
    if source.lower() == "program":
        raise arguments.fault(
            MetaCommandRefused,
            "\\copy … from program runs a program on the machine that migrates",
            hint="put the program's output into a file beside the migration",
        )
    if source.lower() in ("pstdin", "stdout", "pstdout") or re.search(
        r"\bbinary\b", f"{before} {options}", re.IGNORECASE
    ):
        refuse_copy(f"\\copy in this form has no file that can be kept with the migration: {line}", arguments)
    statement = f"COPY {before} FROM STDIN {options}".rstrip()
    inner = Lexer(arguments.place.path, statement)
    inner.scan()
    draft = inner.take()
    if draft is None:
        return None
    data = None if source.lower() == "stdin" else copied(reader, source, draft.tokens, arguments)
    return lambda: reader.emit_copy(draft, arguments.place, data)


def copied(reader: Reader, source: str, tokens: Sequence[str], arguments: Arguments) -> str:
    """The data that `\\copy` reads from a file: its bytes as they are, as psql sends them."""
    name = source[1:-1].replace("''", "'") if source.startswith("'") else source
    encoded = "encoding" in tokens[tokens.index("stdin") :]
    path = resolved(reader, name, reader.session.root, arguments)
    text = loaded(reader, path, arguments, encoded=encoded)
    data = text if "csv" in tokens else text[: end_of_data(text, 0)[0]]
    reader.session.counts(below(reader, path), data)
    return data


def refuse_copy(what: str, arguments: Arguments) -> None:
    """Raise CopyRefused."""
    raise arguments.fault(
        CopyRefused,
        what,
        hint="write \\copy table from 'file.csv' with (format csv), the file beside the migration",
    )


COPY_WORD = regex(r"""\s*(\(|\)|"(?:[^"]|"")*"|'(?:[^']|'')*'|[^\s()"']+)""")


def parts_of_copy(line: str) -> tuple[str, str, str, str]:
    """`\\copy` in parts: what is before FROM or TO, the direction, the source, the options."""
    depth = 0
    for word in COPY_WORD.finditer(line):
        text = word[1]
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.lower() in ("from", "to"):
            source = COPY_WORD.match(line, word.end())
            return (
                line[: word.start()].strip(),
                text.lower(),
                source[1] if source else "",
                line[source.end() :].strip() if source else "",
            )
    return line, "", "", ""
