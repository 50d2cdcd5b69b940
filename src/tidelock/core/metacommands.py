"""psql's backslash commands: which of them a migration may hold, and what they do to the script being read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidelock.core.arguments import Arguments, boolean, joined
from tidelock.core.conditions import begin_if, end_if, next_if, otherwise
from tidelock.core.conninfo import target_of
from tidelock.core.inclusion import Then, copy, include
from tidelock.core.lexer import Known
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.results import columns_of
from tidelock.core.script_faults import (
    ArgumentWrong,
    DecidedTooLate,
    EncodingRefused,
    ErrorStopOff,
    MetaCommandRefused,
    OtherDatabase,
    RestrictMismatch,
    UnknownMetaCommand,
    VariableRefused,
)
from tidelock.core.statement import Assign, Echo, Ending, Quit, Variable

if TYPE_CHECKING:
    from tidelock.core.script import Reader

Action = Callable[["Reader", Arguments], Then]

BRANCHING = frozenset({"if", "elif", "else", "endif"})
WHOLE_LINE = frozenset({"!", "copy", "h", "help", "sf", "sf+", "sv", "sv+", "ef", "ev"})
"""Commands that take the rest of their line as it is."""

DISPLAY = frozenset(
    [
        "a",
        "C",
        "conninfo",
        "copyright",
        "errverbose",
        "f",
        "h",
        "help",
        "H",
        "html",
        "l",
        "l+",
        "lx",
        "l+x",
        "list",
        "list+",
        "listx",
        "list+x",
        "lo_list",
        "lo_list+",
        "p",
        "print",
        "pset",
        "s",
        "sf",
        "sf+",
        "sv",
        "sv+",
        "t",
        "T",
        "timing",
        "x",
        "z",
        "zS",
        "zx",
        "zSx",
        "?",
    ]
)
"""They show something or change how results look, and do nothing to a database."""
DESCRIBE = regex(
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
    [
        "bind",
        "bind_named",
        "parse",
        "close",
        "close_prepared",
        "startpipeline",
        "endpipeline",
        "syncpipeline",
        "sendpipeline",
        "flush",
        "flushrequest",
        "getresults",
    ],
    PROTOCOL,
)

MAX_VALUE = 1 << 20
"""Characters of a variable. Doubling one line by line reaches the machine's memory in forty lines."""


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


def refuse(_reader: Reader, arguments: Arguments) -> Then:
    """A command that psql has and a migration may not."""
    name = arguments.name
    why, hint = REFUSED[name]
    raise arguments.fault(MetaCommandRefused, f"\\{name} {why}", hint=hint)


def show(_reader: Reader, arguments: Arguments) -> Then:
    """Display only: read, and without effect."""
    if arguments.name in WHOLE_LINE:
        arguments.whole()
    return None


def describe(reader: Reader, _arguments: Arguments) -> Then:
    """`\\gdesc`: the columns of the query are shown, and it is not run."""
    return reader.set_aside


def reset(reader: Reader, _arguments: Arguments) -> Then:
    """`\\r`: throw the query away that has been typed so far."""
    reader.lexer.clear()
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
        reader.session.items.append(Assign(name=name, parts=parts, place=arguments.place, guards=reader.guards))
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
        reader.session.items.append(Assign(name=name, parts=None, place=arguments.place, guards=reader.guards))
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
            hint="take this line out, and make harmless what may fail: IF NOT EXISTS, a DO block with EXCEPTION",
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
    """`\\gexec`, `\\crosstabview` and others that send the query."""
    return lambda reader, _arguments: lambda: reader.send(ending)


def send_with_options(reader: Reader, arguments: Arguments) -> Then:
    """`\\g` and `\\gx` may have (options of the display), and no file behind them."""
    first = target = arguments.next()
    if first and first.value.startswith("("):
        while target and not target.value.endswith(")"):
            target = arguments.next()
        if target is None:
            raise arguments.fault(ArgumentWrong, f"\\{arguments.name} (… has no )", hint="close the parenthesis")
        target = arguments.next()
    if target and target.value:
        kind = "program" if target.value.startswith("|") else "file"
        rest = arguments.line[target.place.column - arguments.place.column - 1 :].rstrip()
        raise arguments.fault(
            MetaCommandRefused,
            f"\\{arguments.name} sends the result to a {kind}: {rest}",
            hint=f"write \\{arguments.name} alone; results are kept in the journal",
        )
    return lambda: reader.send(Ending.G)


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
    columns = columns_of(reader.previous[-1].tokens) if reader.previous else None
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
    parts = joined([part for index, each in enumerate(shown) for part in ((" ",) if index else ()) + each.parts])
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


# The connection


def connect(reader: Reader, arguments: Arguments) -> Then:
    """`\\c` to the database that is being migrated, as it is being migrated, is nothing; any other is refused."""
    found = [each.value for each in arguments.rest(semicolon=True)]
    target, settings = target_of(found)
    wanted = reader.session.database
    others = [name for name, value in settings.items() if not reader.session.connected_by(name, value)]
    if others or (target and wanted is not None and target != wanted):
        from tidelock.core.secrets import masked

        name = target or wanted or "NAME"
        key = name if re.fullmatch("[A-Za-z0-9_-]+", name) else f"'{name}'"
        raise arguments.fault(
            OtherDatabase,
            masked(f"\\{arguments.name} {' '.join(found)} leaves the database that is being migrated")
            + (f" ({wanted})" if wanted else "")
            + (f": it changes {', '.join(others)}" if others else ""),
            hint=f"move this file to a directory of its own and give it a target in tidelock.toml: [databases.{key}] "
            f"with dir and url",
        )
    reader.mark("\\c", "" if target == wanted else target)
    return None


def encoding(_reader: Reader, arguments: Arguments) -> Then:
    """`\\encoding UTF8` is what it is anyway."""
    found = arguments.next()
    if found and found.value.lower().replace("-", "").replace("_", "") not in ("utf8", "unicode"):
        raise arguments.fault(
            EncodingRefused,
            f"\\encoding {found.value}: the file was read as UTF-8",
            hint="save the file as UTF-8 and take this line out",
        )
    return None


def output(_reader: Reader, arguments: Arguments) -> Then:
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
    "g": send_with_options,
    "gx": send_with_options,
    "crosstabview": sender(Ending.G),
    "gdesc": describe,
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
