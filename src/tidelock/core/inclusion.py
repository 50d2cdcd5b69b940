"""Files that a script names: `\\i`, `\\ir`, and the data of `\\copy`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
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


def loaded(reader: Reader, path: str, arguments: Arguments) -> str:
    """The text of a file beside the migration."""
    if reader.session.load is None:
        raise arguments.fault(
            IncludeRefused,
            f"{path} cannot be read here: this script stands alone",
            hint="put its content into the migration",
        )
    try:
        return reader.session.load(path)
    except SourceFault:
        raise
    except (OSError, LookupError, UnicodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeError) else "cannot be read"
        raise arguments.fault(
            IncludeRefused,
            f"{path} {reason} ({error})",
            hint="add the file beside the migration, or mend its name",
        ) from error


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
    relative = arguments.name in ("ir", "include_relative")
    path = resolved(reader, name.value, reader.path if relative else reader.session.root, arguments)
    if path in reader.stack or len(reader.stack) >= MAX_DEPTH:
        raise arguments.fault(
            IncludeRefused,
            f"{path} is being read already: {' → '.join((*reader.stack, path))}"
            if path in reader.stack
            else f"{path} is file {MAX_DEPTH + 1} within files",
            hint="take the inclusion out that closes the circle",
        )
    text = loaded(reader, path, arguments)
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
    data = None if source.lower() == "stdin" else copied(reader, source, "csv" in draft.tokens, arguments)
    return lambda: reader.emit_copy(draft, arguments.place, data)


def copied(reader: Reader, source: str, csv: bool, arguments: Arguments) -> str:
    """The data that `\\copy` reads from a file."""
    name = source[1:-1].replace("''", "'") if source.startswith("'") else source
    text = loaded(reader, resolved(reader, name, reader.session.root, arguments), arguments)
    return text if csv else text[: end_of_data(text, 0)[0]]


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
