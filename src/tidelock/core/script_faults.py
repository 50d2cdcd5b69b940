"""What can be wrong with a psql script, as one family: S020 to S039."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from tidelock.core.model import Place


OTHER_ENDS = dict.fromkeys(map(ord, "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
"""What ends a line to Python and to some terminals, and to neither psql nor the server."""


def lines_of(text: str) -> list[str]:
    """The lines of a file as psql counts them, to be shown: each character one column, secrets as stars."""
    from tidelock.core.secrets import masked

    return [line.removesuffix("\r").translate(OTHER_ENDS) for line in masked(text).split("\n")]


def excerpt(text: str, place: Place) -> str:
    """The line of `text` at `place` with a caret under the column, ready to print; secrets in it as stars."""
    lines = lines_of(text)
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    number = str(place.line)
    # Tabs stay tabs in front of the caret, so that it stands right at any tab width.
    blank = "".join("\t" if char == "\t" else " " for char in line[: place.column - 1])
    return f"{number} │ {line}\n{' ' * len(number)} │ {blank}^"


class ScriptFault(SourceFault):
    """A psql script cannot be read. `place` is where, `detail` the line with a caret."""

    def __init__(self, what: str, place: Place, *, hint: str, text: str = "") -> None:
        super().__init__(f"{place}: {what}", hint=hint, detail=excerpt(text, place) if text else "")
        self.place = place


class UnknownMetaCommand(ScriptFault):
    """A backslash command that psql does not have either."""

    code = "S020"


class MetaCommandRefused(ScriptFault):
    """A command that runs programs, asks a person, or reaches outside the migration directory."""

    code = "S021"


class OtherDatabase(ScriptFault):
    """`\\connect` to something that is not the database being migrated."""

    code = "S022"


class BrokenCondition(ScriptFault):
    """`\\if` without `\\endif`, the reverse, or a condition that is no boolean."""

    code = "S023"


class IncludeRefused(ScriptFault):
    """`\\i`, `\\ir` or `\\copy` names a file that is outside the directory, absent or already being read."""

    code = "S024"


class ErrorStopOff(ScriptFault):
    """The file sets ON_ERROR_STOP off."""

    code = "S025"


class VariableRefused(ScriptFault):
    """A variable that would change how psql runs the file, in a way that is not honoured."""

    code = "S026"


class CopyRefused(ScriptFault):
    """`\\copy` in a form that cannot be a migration: to a file, from a program, in binary."""

    code = "S027"


class RestrictMismatch(ScriptFault):
    """`\\unrestrict` without its `\\restrict`, another key, or a command in between."""

    code = "S028"


class EncodingRefused(ScriptFault):
    """`\\encoding` or client_encoding asks for something other than UTF-8."""

    code = "S029"


class ArgumentWrong(ScriptFault):
    """A meta-command whose arguments cannot be read."""

    code = "S030"


class Unterminated(ScriptFault):
    """A quote or a comment that is open at the end of the file."""

    code = "S031"


class DecidedTooLate(ScriptFault):
    """Something must be known when the file is read, and depends on a query's result."""

    code = "S032"
