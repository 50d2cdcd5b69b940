"""What a psql session holds while a script is read: variables, and standard_conforming_strings."""

from __future__ import annotations

from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING

from tidelock.core.arguments import boolean
from tidelock.core.lexer import Known
from tidelock.core.model import Place
from tidelock.core.statement import Assign, Item, Variable
from tidelock.core.tokens import digest
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidelock.core.lexer import Found
    from tidelock.core.statement import Facts

DEFAULTS = {
    "AUTOCOMMIT": "on",
    "ECHO": "none",
    "ECHO_HIDDEN": "off",
    "ENCODING": "UTF8",
    "FETCH_COUNT": "0",
    "LASTOID": "0",
    "ON_ERROR_ROLLBACK": "off",
    "ON_ERROR_STOP": "on",
    "QUIET": "off",
    "SHOW_CONTEXT": "errors",
    "SINGLELINE": "off",
    "SINGLESTEP": "off",
    "VERBOSITY": "default",
}
"""What psql sets at its start and scripts may look at."""

AT_START = {name: Known(value, by_name=True) for name, value in DEFAULTS.items()}

AT_RUN_TIME = frozenset(
    [
        "DBNAME",
        "USER",
        "HOST",
        "PORT",
        "SERVER_VERSION_NAME",
        "SERVER_VERSION_NUM",
        "ROW_COUNT",
        "ERROR",
        "SQLSTATE",
        "LAST_ERROR_MESSAGE",
        "LAST_ERROR_SQLSTATE",
    ]
)
"""What psql knows only once it is connected."""

WITHOUT_ERROR = {"ERROR": "false", "SQLSTATE": "00000", "LAST_ERROR_MESSAGE": "", "LAST_ERROR_SQLSTATE": "00000"}
"""What psql says of the last statement, always: the first one that fails ends the script. Left to run time all the
same, as digests have always had their names, and an \\if on them its condition."""

CURRENT = "the server's version is :SERVER_VERSION_NUM"
UNKNOWABLE = {
    "ROW_COUNT": "count in SQL: WITH done AS (INSERT … RETURNING 1) SELECT count(*) AS n FROM done \\gset",
    "SERVER_VERSION_NAME": f"{CURRENT}; its name: SELECT current_setting('server_version') AS name \\gset",
    **dict.fromkeys(("VERSION", "VERSION_NAME", "VERSION_NUM"), f"{CURRENT}; of psql's own there is none here"),
}
"""What psql sets and Tidelock does not, and what to write instead."""

SETTING = "standard_conforming_strings"
LITERAL = f"'{SETTING}'"


@record(frozen=False, slots=True)
class Standard:
    """standard_conforming_strings, as far as the script itself sets it."""

    on: bool = True
    before: bool | None = None
    """Its value when the open transaction began, which ROLLBACK restores."""
    local: bool = False
    """SET LOCAL: COMMIT restores it too."""
    tracked: bool = False
    """The script names the setting at all."""

    def after(self, tokens: Sequence[str]) -> bool:
        """Take in a statement; True when it may have changed the setting."""
        first, words = tokens[0], tuple(tokens)
        if first in ("begin", "start"):
            self.before = self.on if self.before is None else self.before
        elif first in ("rollback", "abort") and "to" not in words:
            self.restore(always=True)
        elif first in ("commit", "end"):
            self.restore(always=False)
        elif words[:2] in (("reset", SETTING), ("reset", "all"), ("discard", "all")):
            self.on = True
        elif first == "set" and SETTING in words:
            self.set(words)
        elif first == "select" and "set_config" in words and LITERAL in (lower := [each.lower() for each in words]):
            self.configure(lower[lower.index(LITERAL) + 2 :])
        else:
            return False
        return True

    def set(self, words: tuple[str, ...]) -> None:
        """`SET [SESSION | LOCAL] standard_conforming_strings {=|TO} value`."""
        at = words.index(SETTING)
        if at > 2 or (words[1] == "local" and self.before is None):
            return
        self.local = words[1] == "local"
        self.assign(words[at + 2 : at + 3])

    def configure(self, arguments: Sequence[str]) -> None:
        """`set_config('standard_conforming_strings', value, is_local)`, from the value on."""
        local = bool(boolean("".join(arguments[2:3]).strip("'")))
        if not local or self.before is not None:
            self.local = local
            self.assign(tuple(arguments[:1]))

    def assign(self, value: tuple[str, ...]) -> None:
        """Take a value as the server would; one that it would refuse changes nothing."""
        text = "".join(value).strip("'")
        self.on = True if text == "default" else self.on if (known := boolean(text)) is None else known

    def restore(self, *, always: bool) -> None:
        """The transaction ends."""
        if self.before is not None and (always or self.local):
            self.on = self.before
        self.before, self.local = None, False


@record(frozen=False, slots=True)
class Session:
    """What all files of one script share."""

    root: str
    """The path of the script; files that it names lie beside it or below."""
    load: Callable[[str], str] | None
    database: str | None
    specials: Mapping[str, str]
    """What psql would say of the connection: USER, HOST, PORT, …; empty where there is none."""
    values: dict[str, Known | None]
    """What is known of each variable; None: known to be unset."""
    runtime: set[str] = field(default_factory=lambda: set(AT_RUN_TIME))
    """Variables whose value run time decides."""
    prefixes: list[str] = field(default_factory=list)
    """Every name that begins with one of these may have been set by a query."""
    items: list[Item] = field(default_factory=list)
    given: Mapping[str, Known] = field(default_factory=dict)
    """The variables of --set, as they were at the beginning."""
    sources: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    """See `Script.beside`."""
    marks: list[str] = field(default_factory=list)
    """What the script's digest is made of."""
    facts: Callable[[str], Facts] | None = None
    """What is known of a statement's text."""
    digests: bool = True
    """Whether tokens are digested."""
    standard: Standard = field(default_factory=Standard)
    asked: set[str] = field(default_factory=set)
    """Of `UNKNOWABLE` and `WITHOUT_ERROR`, what the script has named."""
    restricted: str = ""
    """The key of `\\restrict`, while it holds."""

    def connected_by(self, setting: str, value: str) -> bool:
        """The connection at hand has this user, host or port; where no database is at hand any will do."""
        known = setting in ("user", "host", "port")
        return known and (self.database is None or self.specials.get(setting.upper()) == value)

    def lookup(self, name: str) -> Found:
        """What is known of a variable."""
        if name in self.values:
            known = self.values[name]
            if known is not None and known is self.given.get(name):
                self.counts(f"variable {name}", known.value)
            return known
        if name in UNKNOWABLE or name in WITHOUT_ERROR:
            self.ask(name)
        if name in self.runtime or any(name.startswith(prefix) for prefix in self.prefixes):
            return Variable(name)
        return None

    def counts(self, name: str, content: str) -> None:
        """A file or a variable decides what runs."""
        if self.digests:
            self.beside[name] = digest([content])[:16]

    def ask(self, name: str) -> None:
        """A variable that psql sets after each statement, or from what it is itself."""
        if name in WITHOUT_ERROR and name not in self.asked:
            self.items.append(Assign(name=name, parts=(WITHOUT_ERROR[name],), place=Place(self.root, 1)))
        self.asked.add(name)

    def know(self, name: str, known: Known | None) -> None:
        """A variable is set, or unset, for certain."""
        self.values[name] = known
        self.runtime.discard(name)

    def leave_open(self, name: str, place: Place) -> None:
        """From here on only run time knows this variable. What was known so far is handed over."""
        known = self.values.pop(name, None)
        if known is not None and name not in DEFAULTS:
            self.items.append(Assign(name=name, parts=(known.value,), place=place))
        self.runtime.add(name)


def session(
    root: str,
    *,
    variables: Mapping[str, str],
    load: Callable[[str], str] | None,
    database: str | None,
    specials: Mapping[str, str],
) -> Session:
    """The state in which psql would begin a script."""
    values = dict(known_at_start(tuple(variables.items()), database, tuple(specials.items())))
    given = {name: known for name in variables if (known := values[name])}
    return Session(root=root, load=load, database=database, specials=specials, values=values, given=given)


@lru_cache(maxsize=8)
def known_at_start(
    variables: tuple[tuple[str, str], ...], database: str | None, specials: tuple[tuple[str, str], ...]
) -> dict[str, Known | None]:
    """The variables that psql would begin with: the same for every file of a run."""
    values: dict[str, Known | None] = dict(AT_START)
    if database is not None:
        values["DBNAME"] = Known(database, by_name=True)
    values |= {name: Known(value, by_name=True) for name, value in specials}
    values |= {name: Known(value) for name, value in variables}
    return values
