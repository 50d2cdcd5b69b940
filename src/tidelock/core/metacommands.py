"""psql's backslash commands: which of them a migration may hold, and what they do to the script being read."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.arguments import Arguments, Parts, boolean, joined
from tidelock.core.conninfo import target_of
from tidelock.core.lexer import Known, Lexer, end_of_data
from tidelock.core.model import Assign, Echo, Ending, Guard, Place, Quit, Variable
from tidelock.core.results import columns_of
from tidelock.core.script_faults import (
    ArgumentWrong,
    BrokenCondition,
    CopyRefused,
    DecidedTooLate,
    EncodingRefused,
    ErrorStopOff,
    IncludeRefused,
    MetaCommandRefused,
    OtherDatabase,
    RestrictMismatch,
    ScriptFault,
    UnknownMetaCommand,
    VariableRefused,
)
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from tidelock.core.script import Reader

Then = Callable[[], None] | None
Action = Callable[["Reader", Arguments], Then]

BRANCHING = frozenset({"if", "elif", "else", "endif"})
WHOLE_LINE = frozenset({"!", "copy", "h", "help", "sf", "sf+", "sv", "sv+", "ef", "ev"})
"""Commands that take the rest of their line as it is."""

DISPLAY = frozenset(
    ["a", "C", "conninfo", "copyright", "errverbose", "f", "gdesc", "h", "help", "H", "html", "l", "l+", "lx", "l+x", "list", "list+", "listx", "list+x", "lo_list", "lo_list+", "p", "print", "pset", "s", "sf", "sf+", "sv", "sv+", "t", "T", "timing", "x", "z", "zS", "zx", "zSx", "?"]
)
"""They show something or change how results look, and do nothing to a database."""
DESCRIBE = re.compile(
    r"d(?:|a|A[cfop]?|b|c|config|C|d|dp|D|e[stuw]|E|f[anptw]*|F[dpt]?|g|[ilmnopstuvxyTXLOE]+|p|P[itn]*|rds|rg|R[ps])[S+x]*"
)

ASKS = ("asks a person, and a migration runs unattended", "pass the value with --set name=value")
RUNS = (
    "runs a program on the machine that migrates",
    "do it outside the migration, before or after `tidelock apply`",
)
WRITES = ("writes a file on the machine that migrates", "leave it out; results are kept in the journal")
EDITS = ("opens an editor", "leave it out")
PROTOCOL = (
    "sends the query in another way, with parameters of its own",
    "write the values into the statement",
)
LARGE = (
    "moves a large object between the server and a file",
    "keep such data outside migrations, or use INSERT",
)
OUTSIDE = ("depends on the machine that migrates", "pass the value with --set name=value")

REFUSED = {
    "!": RUNS,
    "prompt": ASKS,
    "password": (
        "asks a person for a password",
        "use ALTER ROLE outside the migrations, where the secret is kept",
    ),
    "w": WRITES,
    "write": WRITES,
    "e": EDITS,
    "edit": EDITS,
    "ef": EDITS,
    "ev": EDITS,
    "watch": ("repeats the query until someone stops it", "write a loop in a DO block that ends"),
    "cd": ("changes the directory in which files are looked for", "name files relative to the migration"),
    "setenv": OUTSIDE,
    "getenv": OUTSIDE,
    "lo_import": LARGE,
    "lo_export": LARGE,
    "lo_unlink": LARGE,
} | dict.fromkeys(
    ["bind", "bind_named", "parse", "close", "close_prepared", "startpipeline", "endpipeline", "syncpipeline", "sendpipeline", "flush", "flushrequest", "getresults"],
    PROTOCOL,
)

MAX_DEPTH = 16
"""Files within files. psql has no limit and runs out of descriptors."""
MAX_VALUE = 1 << 20
"""Characters of a variable. Doubling one line by line reaches the machine's memory in forty lines."""


@dataclass(slots=True)
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


def action_named(name: str, arguments: Arguments) -> Action:
    """What a command does. Unknown ones are an error in branches that are not taken too, as in psql."""
    action = ACTIONS.get(name)
    if action is not None:
        return action
    if name in REFUSED:
        return refuse
    if name in DISPLAY or DESCRIBE.fullmatch(name):
        return show
    raise arguments.fault(
        UnknownMetaCommand,
        f"psql has no command \\{name}",
        hint="mend its name; a backslash outside quotes begins a psql command (a string with escapes is E'…')",
    )


def refuse(reader: Reader, arguments: Arguments) -> Then:
    """A command that psql has and a migration may not."""
    name = arguments.name
    why, hint = REFUSED[name]
    raise MetaCommandRefused(
        f"\\{name} {why}",
        arguments.place,
        hint=hint,
    )


def show(reader: Reader, arguments: Arguments) -> Then:
    """Display only: read, and without effect."""
    if arguments.name in WHOLE_LINE:
        arguments.whole()
    return None


def reset(reader: Reader, arguments: Arguments) -> Then:
    """`\\r`: throw the query away that has been typed so far."""
    reader.lexer.clear()
    return None


# Conditions


def begin_if(reader: Reader, arguments: Arguments) -> Then:
    """`\\if`."""
    branch = Branch(arguments.place, reader.lexer.mark(), live=False, settled=True)
    if reader.live:
        branch.settled = False
        decide(reader, branch, arguments)
    else:
        arguments.rest()
    reader.branches.append(branch)
    return None


def decide(reader: Reader, branch: Branch, arguments: Arguments) -> None:
    """Evaluate the condition of `\\if` or `\\elif`: now where it is known, at run time otherwise."""
    found = arguments.rest()
    parts = joined(
        [part for index, each in enumerate(found) for part in ((" ",) if index else ()) + each.parts]
    )
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
            else "write true or false, or a variable that holds one; psql has no expressions: compute it with SELECT … \\gset",
        )
    reader.mark("\\if", text)
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


def next_if(reader: Reader, arguments: Arguments) -> Then:
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
    return None


def otherwise(reader: Reader, arguments: Arguments) -> Then:
    """`\\else`."""
    branch = current(reader, arguments)
    leave(reader, branch, arguments)
    branch.in_else, branch.live = True, not branch.settled
    branch.guard = Guard(("true",), branch.seen) if branch.live and branch.seen else None
    return None


def end_if(reader: Reader, arguments: Arguments) -> Then:
    """`\\endif`."""
    branch = current(reader, arguments, after_else=True)
    leave(reader, branch, arguments)
    reader.branches.pop()
    return None


# Variables


def set_variable(reader: Reader, arguments: Arguments) -> Then:
    """`\\set name value …`: the values are put together without blanks."""
    found = arguments.rest()
    if not found:
        return None
    name = found[0].value
    parts = joined([part for each in found[1:] for part in each.parts])
    value = "".join(part for part in parts if isinstance(part, str))
    check_name(name, arguments)
    check_special(name, value if value or len(found) > 1 else "on", arguments)
    if len(value) > MAX_VALUE:
        raise arguments.fault(
            ArgumentWrong,
            f"the value of {name} has {len(value)} characters",
            hint=f"keep variables below {MAX_VALUE}",
        )
    spelled = "".join(each.spelled for each in found[1:])
    reader.mark("\\set", name, spelled)
    if reader.guards or any(isinstance(part, Variable) for part in parts):
        reader.session.leave_open(name, arguments.place)
        reader.session.items.append(
            Assign(name=name, parts=parts, place=arguments.place, guards=reader.guards)
        )
    else:
        reader.session.know(name, Known(value, by_name=spelled != value))
    return None


def unset_variable(reader: Reader, arguments: Arguments) -> Then:
    """`\\unset name`."""
    found = arguments.next()
    if found is None:
        raise arguments.fault(ArgumentWrong, "\\unset names no variable", hint="name it")
    name = found.value
    check_special(name, "off", arguments)
    reader.mark("\\unset", name)
    if reader.guards:
        reader.session.leave_open(name, arguments.place)
        reader.session.items.append(
            Assign(name=name, parts=None, place=arguments.place, guards=reader.guards)
        )
    else:
        reader.session.know(name, None)
    return None


def check_name(name: str, arguments: Arguments) -> None:
    """psql takes letters, digits and underscores."""
    if not re.fullmatch("[A-Za-z0-9_\x80-\U0010ffff]+", name):
        raise arguments.fault(
            ArgumentWrong,
            f"{name!r} is no name for a variable",
            hint="use letters, digits and underscores",
        )


def check_special(name: str, value: str, arguments: Arguments) -> None:
    """Variables that would change how psql runs the file."""
    if name == "ON_ERROR_STOP" and boolean(value) is not True:
        raise arguments.fault(
            ErrorStopOff,
            f"ON_ERROR_STOP is set to {value}; Tidelock always stops at the first error",
            hint="take this line out, and make the statements that may fail harmless (IF NOT EXISTS, a DO block with EXCEPTION)",
        )
    changes = {"AUTOCOMMIT": False, "SINGLELINE": True, "SINGLESTEP": True, "ON_ERROR_ROLLBACK": True}
    if name in changes and boolean(value) is changes[name]:
        raise arguments.fault(
            VariableRefused,
            f"{name} {value} changes how every statement of the file is run, and that is not supported",
            hint="take this line out; write BEGIN, COMMIT and SAVEPOINT where they are meant",
        )


# Sending


def sender(ending: Ending) -> Action:
    """`\\g`, `\\gx`, `\\gexec` and others that send the query."""

    def send(reader: Reader, arguments: Arguments) -> Then:
        if ending is Ending.G:
            check_target(arguments)
        return lambda: reader.send(ending)

    return send


def check_target(arguments: Arguments) -> None:
    """`\\g` may have (options) and no file."""
    target = SPACE_OR_TARGET.match(arguments.line, arguments.pos)
    rest = target.group().strip() if target else ""
    if rest.startswith("(") or not rest or rest.startswith("\\"):
        return
    pipe = rest.startswith("|")
    raise arguments.fault(
        MetaCommandRefused,
        f"\\{arguments.name} sends the result to {'a program' if pipe else 'a file'}: {rest}",
        hint="write \\g alone; results are kept in the journal",
    )


SPACE_OR_TARGET = re.compile(r"[ \t]*[^\\\n]*")


def get_set(reader: Reader, arguments: Arguments) -> Then:
    """`\\gset [prefix]`: the columns of the one row become variables."""
    prefix = arguments.next()
    name = prefix.value if prefix else ""
    if prefix and prefix.runtime:
        raise arguments.fault(
            DecidedTooLate,
            "the prefix of \\gset depends on a query's result",
            hint="write the prefix itself",
        )

    def send() -> None:
        before = len(reader.session.items)
        reader.send(Ending.GSET, name)
        results(reader, name, before, arguments.place)

    return send


def results(reader: Reader, prefix: str, before: int, place: Place) -> None:
    """From here on the columns are known at run time alone. Where they cannot be told, any name may be one."""
    shared = reader.session
    sent, shared.items[before:] = shared.items[before:], []
    columns = columns_of(reader.previous.tokens) if reader.previous else None
    names = {name for name in shared.values if name.startswith(prefix)} if columns is None else columns
    for name in sorted(names):
        shared.leave_open(name if columns is None else prefix + name, place)
    if columns is None:
        shared.prefixes.append(prefix)
    shared.items += sent


def echo(reader: Reader, arguments: Arguments) -> Then:
    """`\\echo`, `\\qecho`, `\\warn`, with -n."""
    found = arguments.rest()
    newline = not (found and found[0].parts == ("-n",) and not found[0].quoted)
    shown = found if newline else found[1:]
    parts = joined(
        [part for index, each in enumerate(shown) for part in ((" ",) if index else ()) + each.parts]
    )
    warning = arguments.name == "warn"
    reader.session.items.append(
        Echo(parts=parts, place=arguments.place, warning=warning, newline=newline, guards=reader.guards)
    )
    return None


def leave_script(reader: Reader, arguments: Arguments) -> Then:
    """`\\q`: the rest of this file is not read."""
    reader.mark("\\q")
    if reader.guards:
        if len(reader.stack) > 1:
            raise arguments.fault(
                DecidedTooLate,
                "\\q in an included file depends on a query's result",
                hint="put the rest of the file between \\if and \\endif instead",
            )
        reader.session.items.append(Quit(place=arguments.place, guards=reader.guards))
    else:
        reader.quit = True
    return None


# Files


def resolved(reader: Reader, name: str, beside: str, arguments: Arguments) -> str:
    """The path of a file that the script names, inside the directory of the migration."""
    directory = posixpath.normpath(posixpath.dirname(reader.session.root) or ".")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(beside), name))
    within = (
        path.startswith(directory.rstrip("/") + "/")
        if directory != "."
        else not path.startswith(("../", "/"))
    )
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


COPY_WORD = re.compile(r"""\s*(\(|\)|"(?:[^"]|"")*"|'(?:[^']|'')*'|[^\s()"']+)""")


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


# The connection


def connect(reader: Reader, arguments: Arguments) -> Then:
    """`\\c` to the database that is being migrated is nothing; to another one it is refused."""
    found = [each.value for each in arguments.rest(semicolon=True)]
    target, elsewhere = target_of(found)
    wanted = reader.session.database
    if elsewhere or (target and wanted is not None and target != wanted):
        name = target or "NAME"
        raise arguments.fault(
            OtherDatabase,
            f"\\{arguments.name} {' '.join(found)} leaves the database that is being migrated"
            + (f" ({wanted})" if wanted else "")
            + (f": it changes {elsewhere}" if elsewhere else ""),
            hint=f"move this file to a directory of its own and give it a target in tidelock.toml: [databases.{name}] "
            f"with dir and url",
        )
    reader.mark("\\c", "" if target == wanted else target)
    return None


def encoding(reader: Reader, arguments: Arguments) -> Then:
    """`\\encoding UTF8` is what it is anyway."""
    found = arguments.next()
    if found and found.value.lower().replace("-", "").replace("_", "") not in ("utf8", "unicode"):
        raise arguments.fault(
            EncodingRefused,
            f"\\encoding {found.value}: the file was read as UTF-8",
            hint="save the file as UTF-8 and take this line out",
        )
    return None


def output(reader: Reader, arguments: Arguments) -> Then:
    """`\\o` alone is what it is anyway."""
    rest = arguments.whole()
    if rest:
        raise arguments.fault(
            MetaCommandRefused,
            f"\\{arguments.name} sends results to {'a program' if rest.startswith('|') else 'a file'}: {rest}",
            hint="leave it out; results are kept in the journal",
        )
    return None


def restrict(reader: Reader, arguments: Arguments) -> Then:
    """`\\restrict key`, as pg_dump writes it: no other command until `\\unrestrict key`."""
    key = arguments.next()
    if key is None or not key.value:
        raise arguments.fault(ArgumentWrong, "\\restrict has no key", hint="give it one")
    reader.session.restricted = key.value
    return None


def unrestrict(reader: Reader, arguments: Arguments) -> Then:
    """`\\unrestrict key`."""
    key = arguments.next()
    if not reader.session.restricted or key is None or key.value != reader.session.restricted:
        raise arguments.fault(
            RestrictMismatch,
            f"\\unrestrict {key.value if key else ''} does not match \\restrict {reader.session.restricted}".rstrip(),
            hint="restore the two lines as pg_dump wrote them",
        )
    reader.session.restricted = ""
    return None


ACTIONS: dict[str, Action] = {
    "if": begin_if,
    "elif": next_if,
    "else": otherwise,
    "endif": end_if,
    "set": set_variable,
    "unset": unset_variable,
    "g": sender(Ending.G),
    "gx": sender(Ending.G),
    "crosstabview": sender(Ending.G),
    "gexec": sender(Ending.GEXEC),
    "gset": get_set,
    "echo": echo,
    "qecho": echo,
    "warn": echo,
    "q": leave_script,
    "quit": leave_script,
    "i": include,
    "include": include,
    "ir": include,
    "include_relative": include,
    "copy": copy,
    "c": connect,
    "connect": connect,
    "encoding": encoding,
    "o": output,
    "out": output,
    "r": reset,
    "reset": reset,
    "restrict": restrict,
    "unrestrict": unrestrict,
}
