"""`\\if`, `\\elif`, `\\else`, `\\endif`: which branch of a script is read, now or at run time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.arguments import Parts, boolean, joined
from tidelock.core.model import Place
from tidelock.core.script_faults import BrokenCondition, DecidedTooLate
from tidelock.core.statement import Guard, Variable
from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.core.arguments import Arguments
    from tidelock.core.script import Reader


@record(frozen=False, slots=True)
class Branch:
    """One `\\if` … `\\endif` being read."""

    place: Place
    mark: tuple[int, int]
    """The state of the query buffer when the current branch began."""
    live: bool
    """The current branch may run."""
    settled: bool
    """No later branch can run."""
    guard: Guard | None = None
    seen: tuple[Parts, ...] = ()
    """The conditions so far that run time decides."""
    in_else: bool = False


def begin_if(reader: Reader, arguments: Arguments) -> None:
    """`\\if`."""
    branch = Branch(arguments.place, reader.lexer.mark(), live=False, settled=True)
    if reader.live:
        branch.settled = False
        decide(reader, branch, arguments)
    else:
        arguments.rest()
    reader.branches.append(branch)


def decide(reader: Reader, branch: Branch, arguments: Arguments) -> None:
    """Evaluate the condition of `\\if` or `\\elif`: now where it is known, at run time otherwise."""
    found = arguments.rest()
    parts = joined([part for index, each in enumerate(found) for part in ((" ",) if index else ()) + each.parts])
    if any(isinstance(part, Variable) for part in parts):
        whole_statement(reader, arguments)
        branch.live, branch.guard = True, Guard(parts, branch.seen)
        branch.seen += (parts,)
        return
    text = "".join(part for part in parts if isinstance(part, str))
    value = boolean(text)
    if value is None:
        unset = re.fullmatch(r":'?\"?(\w+)'?\"?", text)
        raise arguments.fault(
            BrokenCondition,
            f"\\{arguments.name} needs a boolean and got {text!r}",
            hint=f"set it with --set {unset[1]}=true, or ask \\if :{{?{unset[1]}}}"
            if unset
            else "write true or false, or a variable that holds one (psql has no expressions: SELECT … \\gset)",
        )
    reader.mark("\\if", " ".join(each.spelled for each in found))
    branch.live = branch.settled = value
    branch.guard = Guard(("true",), branch.seen) if value and branch.seen else None


def whole_statement(reader: Reader, arguments: Arguments) -> None:
    """A condition that run time decides may choose between statements, not between parts of one."""
    if not reader.lexer.empty:
        raise arguments.fault(
            DecidedTooLate,
            f"\\{arguments.name} stands within a statement and depends on a query's result",
            hint="end the statement before it, and write it in full in each branch",
        )


def current(reader: Reader, arguments: Arguments, *, after_else: bool = False) -> Branch:
    """The `\\if` to which a command belongs."""
    if not reader.branches:
        raise arguments.fault(
            BrokenCondition,
            f"\\{arguments.name} has no \\if before it in this file",
            hint="add the \\if, or take this line out",
        )
    branch = reader.branches[-1]
    if branch.in_else and not after_else:
        raise arguments.fault(
            BrokenCondition,
            f"\\{arguments.name} comes after \\else",
            hint="put \\else last",
        )
    return branch


def leave(reader: Reader, branch: Branch, arguments: Arguments) -> None:
    """The branch being read ends."""
    if not branch.live:
        reader.lexer.rewind(branch.mark)
    elif branch.guard:
        whole_statement(reader, arguments)
    branch.mark = reader.lexer.mark()


def next_if(reader: Reader, arguments: Arguments) -> None:
    """`\\elif`."""
    branch = current(reader, arguments)
    leave(reader, branch, arguments)
    branch.live, branch.guard = False, None
    if branch.settled:
        arguments.dead = True
        arguments.rest()
    else:
        arguments.dead = False
        arguments.lookup = reader.session.lookup
        decide(reader, branch, arguments)


def otherwise(reader: Reader, arguments: Arguments) -> None:
    """`\\else`."""
    branch = current(reader, arguments)
    leave(reader, branch, arguments)
    branch.in_else, branch.live = True, not branch.settled
    branch.guard = Guard(("true",), branch.seen) if branch.live and branch.seen else None


def end_if(reader: Reader, arguments: Arguments) -> None:
    """`\\endif`."""
    branch = current(reader, arguments, after_else=True)
    leave(reader, branch, arguments)
    reader.branches.pop()
