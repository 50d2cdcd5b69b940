"""Hygiene (HY): what is wrong with a file as a whole: its name, its number, its ledger row, its past."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from tidelock.core.lint.destruction_rows import destroys, shown
from tidelock.core.lint.guards import listed
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, directory_rule, file_rule, rule
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.source import name_of, number_of
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.lint.look import Directory, File, Look
    from tidelock.core.model import Migration


BY_ENGINE = ("found by the engine",)
"""What no statement does: these two are registered for their texts."""


@rule(
    "HY000",
    "PostgreSQL's grammar refuses the statement",
    Severity.ERROR,
    why="The statement can never succeed, unless the server is of another version and knows syntax that PostgreSQL 18 "
    "does not. Nothing else is known of it: no other rule is asked.",
    fix="mend the statement at that place",
    on=BY_ENGINE,
)
def syntax(look: Look) -> Iterator[str]:
    """Found by the engine, which has the parser's words."""
    del look
    return iter(())


@rule(
    "HY001",
    "an allowance that nothing needs",
    Severity.WARNING,
    why="`-- tidelock: allow CODE: reason` stays in the file when its reason has gone, and hides the next finding.",
    fix="take the line away",
    on=BY_ENGINE,
)
def unused(look: Look) -> Iterator[str]:
    """Found by the engine, which knows what was allowed."""
    del look
    return iter(())


# --- names and numbers ---------------------------------------------------------------------------------------------

LONGEST = 100
"""Characters of a file's name that still fit into a line of a report."""


@file_rule(
    "HY002",
    "a file name that says little",
    Severity.NOTE,
    why="The name is what plans, ledgers and reports show of a migration; on disks without upper and lower case two "
    "names become one.",
    fix="name it NNN_what_it_does.sql, in lower case",
)
def description(file: File) -> Iterator[str]:
    """No description, a very long one, one in mixed spelling."""
    name, text = name_of(file.migration.path), file.migration.description
    if not text.strip("_- "):
        yield f"{name} does not say what it does"
    elif len(name) > LONGEST:
        yield f"the name has {len(name)} characters"
    elif text != text.lower():
        yield f"{name} has capital letters"


KEY = regex(r"[-._a-zA-Z0-9]{1,253}")
"""What a ConfigMap takes as a key."""


@file_rule(
    "HY003",
    "a file name that no ConfigMap takes",
    Severity.WARNING,
    why="A key of a ConfigMap has letters of ASCII, digits, `-`, `_` and `.`, and at most 253 of them: kubectl and "
    "kustomize refuse the file, and with it all others.",
    fix="rename it",
)
def config_map_key(file: File) -> Iterator[str]:
    """Blanks, accents, …"""
    name = name_of(file.migration.path)
    if not KEY.fullmatch(name):
        wrong = "".join(dict.fromkeys(re.sub(r"[-._a-zA-Z0-9]", "", name)))
        yield f"“{name}” has " + (f"“{wrong}”" if wrong else f"{len(name)} characters")


DATE_DIGITS = 8
"""From here on a version is a date or time, and gaps mean nothing."""


@directory_rule(
    "HY004",
    "numbers that do not follow one another",
    Severity.NOTE,
    why="A gap may be a file that was never committed. Numbers of different widths are sorted differently by `ls`, "
    "`sort` and most other tools, and people who apply by hand follow these.",
    fix="number them without gaps and with the same width (`tidelock renumber` does so, before anything is applied)",
)
def sequence(directory: Directory) -> Iterator[Remark]:
    """Gaps, widths that change the order, two separators."""
    migrations = [each.migration for each in directory.files]
    yield from _gaps([each for each in migrations if each.version < 10 ** (DATE_DIGITS - 1)])
    for before, after in pairwise(migrations):
        if name_of(before.path) > name_of(after.path):
            message = f"by name {name_of(after.path)} comes before {name_of(before.path)}, by number after it"
            yield Remark(message=message, place=Place(after.path, 1))
            break
    separators = [_separator(each) for each in migrations]
    usual = max(("_", "-"), key=separators.count)
    others = [each for each, found in zip(migrations, separators, strict=True) if found not in ("", usual)]
    if others:
        rest = f" and {len(others) - 1} more" if len(others) > 1 else ""
        message = (
            f"{name_of(others[0].path)}{rest} has “{_separator(others[0])}” after the number, the others “{usual}”"
        )
        yield Remark(message=message, place=Place(others[0].path, 1))


def _separator(migration: Migration) -> str:
    name = name_of(migration.path)
    return name[len(number_of(name)) :][:1].replace(".", "")


def _gaps(migrations: Sequence[Migration]) -> Iterator[Remark]:
    """All gaps in one remark, at the first of them."""
    gaps = [
        (before.version + 1, after.version - 1, after)
        for before, after in pairwise(migrations)
        if after.version > before.version + 1
    ]
    if gaps:
        spans = [str(first) if first == last else f"{first} to {last}" for first, last, _ in gaps]
        message = f"no file has the number{'s' * (spans != [str(gaps[0][0])])} {listed(spans)}"
        yield Remark(message=message, place=Place(gaps[0][2].path, 1))


# --- the ledger row that a file writes itself ----------------------------------------------------------------------


@rule(
    "HY005",
    "a ledger row of another version",
    Severity.ERROR,
    why="The row says that another migration is applied: that one is then never run, and this one is run again.",
    fix="write the version of the file's own number, or leave the row to Tidelock",
    kinds=tuple(each for each in Kind if each is not Kind.DDL),
)
def ledger_version(look: Look) -> Iterator[str]:
    """INSERT INTO schema_migrations with a number that is not the file's."""
    own = look.file.migration.version
    others = [each for each in look.facts.ledger_versions or () if each != own]
    if others:
        what = f"version {own}" if own >= 0 else "a fallback"
        yield f"the file is {what}, and says that {listed(map(str, others))} is applied"


@rule(
    "HY006",
    "a ledger row with a column that the ledger does not have",
    Severity.ERROR,
    why="The INSERT stops with 42703, at the end of the file: what the file did is rolled back, or, with psql, stays "
    "without a row that says so.",
    fix="write the columns that the table has, or leave the row to Tidelock",
    on=("insert",),
)
def ledger_columns(look: Look) -> Iterator[str]:
    """INSERT INTO schema_migrations (version, name) where a file has made it with description."""
    if look.facts.ledger_versions is None:
        return
    for each in look.actions("insert"):
        table = look.known.table(each.table)
        if key(each.table).rpartition(".")[2] == "schema_migrations" and table and table.whole and table.place:
            missing = [name for name in each.names if name not in table.columns]
            if missing:
                place = f"{table.place.path}:{table.place.line}"
                yield f"{each.table} has no {listed(missing)} ({place}), but {', '.join(table.columns)}"


@rule(
    "HY031",
    "SQL that is put together while it runs",
    Severity.NOTE,
    why="Nobody can read in the file what EXECUTE or \\gexec will run: no rule looks at it, and what it locks or "
    "changes is found by `prove` alone, on the shadow's tables. (What is constant in it is read: literals, `||`, "
    "format().)",
    fix="write the statements out where there are few; else look at them by hand",
    on=("execute",),
)
def built(look: Look) -> Iterator[str]:
    """EXECUTE of what is not constant, but for what DE023 tells of."""
    for each in look.actions("execute"):
        if not destroys(each.name):
            yield f"no rule has read it: {shown(each.name)}"


@rule(
    "HY032",
    "a body that does not parse",
    Severity.ERROR,
    why="The server refuses it, when the function is created or when the DO block or the statement is run: 42601.",
    fix="mend it",
    on=("unreadable",),
)
def unreadable_body(look: Look) -> Iterator[str]:
    """DO or CREATE FUNCTION whose body, or a statement in it, PostgreSQL's grammar refuses."""
    for each in look.actions("unreadable"):
        yield f"in the body: {each.name}"
