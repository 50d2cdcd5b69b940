"""Destruction (DE): what takes away data, or what applications use. Here: DROP, and `-- BREAKING` itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.breaking import (
    added_here,
    dependents,
    destructive,
    is_own,
    made_again,
    made_before,
    rebuilt_here,
)
from tidelock.core.lint.compose import named
from tidelock.core.lint.guards import listed
from tidelock.core.lint.known import key, meant
from tidelock.core.lint.rule import Remark, file_rule
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Constraint
    from tidelock.core.lint.look import File, Look
    from tidelock.core.statement import Statement


@destructive(
    "DE001",
    "DROP TABLE takes the rows with it",
    Severity.ERROR,
    why="The rows are gone but for the last backup, and whatever still asks for the table fails from that moment on: "
    "the release that is running while the migration runs, too.",
    fix="let the application do without it first, keep it a release longer under another name",
    on=("drop table",),
)
def drop_table(look: Look) -> Iterator[Remark]:
    """A table that the file has not made itself."""
    for each in look.actions("drop table"):
        if not is_own(look, each.table) and not made_before(look, each):
            again = ", and what is created again is empty" if made_again(look, each) else ""
            kind = "hypertable" if look.known.is_hypertable(each.table) else "table"
            yield Remark(message=f"all rows of the {kind} {each.table} are gone{again}")


@destructive(
    "DE002",
    "DROP COLUMN takes its values with it",
    Severity.ERROR,
    why="The values are gone but for the last backup, and every statement that names the column fails: the release "
    "that is running while the migration runs, too.",
    fix="let the application do without the column first, drop it a release later",
    on=("drop column", "drop attribute"),
)
def drop_column(look: Look) -> Iterator[Remark]:
    """Columns that the file has not added itself, all of one statement together; attributes of a composite type."""
    for each in look.actions("drop attribute"):
        if not _made_here(look, each.table):
            yield Remark(message=f"the values of {each.name} are gone from every column of the type {each.table}")
    gone: dict[str, list[str]] = {}
    for each in look.actions("drop column"):
        if not is_own(look, each.table) and not added_here(look, each.table, each.name):
            gone.setdefault(each.table, []).append(each.name)
    for table, columns in gone.items():
        views = look.known.views.values()
        readers = [one.name for one in views if one.columns & {*columns} and key(table) in map(key, one.sources)]
        used = f"; {listed(readers)} may read {'it' if len(columns) == 1 else 'them'}" if readers else ""
        yield Remark(message=f"the values of {listed(f'{table}.{each}' for each in columns)} are gone{used}")


def _made_here(look: Look, name: str) -> bool:
    """The file itself has made the type."""
    return any(key(each.name) == key(name) for each in look.done_before("create type"))


@destructive(
    "DE003",
    "DROP of a view or function that applications may use",
    Severity.ERROR,
    why="No data is lost, but whatever still asks for it fails.",
    fix="let the application do without it first; to change it, create it again in the same file",
    on=("drop view", "drop function", "drop procedure"),
)
def drop_view(look: Look) -> Iterator[Remark]:
    """A view or function that does not come back in the same file."""
    for each in look.actions("drop view", "drop function", "drop procedure"):
        if not made_before(look, each) and not made_again(look, each):
            yield Remark(message=f"whatever uses the {each.what.partition(' ')[2]} {each.table} fails")


@destructive(
    "DE004",
    "DROP of a schema, database or extension takes what is in it",
    Severity.ERROR,
    why="Everything in it goes, or, without CASCADE, it is refused as soon as anything is in it. An extension takes "
    "its types and functions, and with CASCADE the columns of these types.",
    fix="drop what is in it by name, each with its reason",
    on=("drop schema", "drop database", "drop extension", "drop tablespace", "drop publication", "drop subscription"),
)
def drop_container(look: Look) -> Iterator[Remark]:
    """What holds other things."""
    for each in look.actions(
        "drop schema", "drop database", "drop extension", "drop tablespace", "drop publication", "drop subscription"
    ):
        empty = each.what == "drop publication" and made_again(look, each)
        if not made_before(look, each) and not empty:
            name = each.table or each.name
            yield Remark(message=f"the {each.what.partition(' ')[2]} {name} and what it holds is gone")


@destructive(
    "DE005",
    "DROP of a type or sequence",
    Severity.ERROR,
    why="A type is refused while a column uses it, and with CASCADE takes these columns. A sequence that is created "
    "again starts at 1, and the next rows collide with old ones.",
    fix="keep it; a sequence that belongs to a column goes with the column",
    on=("drop type", "drop domain", "drop sequence"),
)
def drop_type(look: Look) -> Iterator[Remark]:
    """A type that does not come back, a sequence in any case."""
    for each in look.actions("drop type", "drop domain", "drop sequence"):
        if made_before(look, each) or (each.what != "drop sequence" and made_again(look, each)):
            continue
        kind = each.what.partition(" ")[2]
        again = ", and the new one starts at its beginning" if made_again(look, each) else ""
        yield Remark(message=f"the {kind} {each.table} is gone{again}")


@destructive(
    "DE006",
    "DROP MATERIALIZED VIEW takes its rows with it",
    Severity.ERROR,
    why="The rows have to be computed again, and meanwhile whatever reads the view fails or finds it empty. What a "
    "continuous aggregate holds may not be computable any more, as its raw data is gone.",
    fix="create the new one beside it, fill it, and exchange the names",
    on=("drop materialized view",),
)
def drop_materialized_view(look: Look) -> Iterator[Remark]:
    """A materialized view; a continuous aggregate that comes back is a matter of TimescaleDB's rules."""
    accepted = {meant(each) for each in look.file.migration.directives if each.name in ("accept-loss", "rebuild")}
    for each in look.actions("drop materialized view"):
        again = made_again(look, each) or any(
            key(one.table) == key(each.table) for one in look.done_after("create aggregate")
        )
        aggregate = look.known.is_aggregate(each.table)
        if made_before(look, each) or (aggregate and again) or key(each.table) in accepted:
            continue
        kind = "continuous aggregate" if aggregate else "materialized view"
        yield Remark(message=f"the rows of the {kind} {each.table} are gone" + (" until it is filled again" * again))


@destructive(
    "DE007",
    "what kept wrong rows out is taken away",
    Severity.WARNING,
    why="Without the constraint rows come in that the application does not expect, and they stay when it is added "
    "again. Without the default an INSERT that does not name the column fails, or stores NULL.",
    fix="add what replaces it in the same file",
    on=("drop constraint", "drop not null", "drop default", "drop index"),
)
def drop_constraint(look: Look) -> Iterator[Remark]:
    """DROP CONSTRAINT, DROP NOT NULL, DROP DEFAULT, a unique index."""
    for each in look.actions("drop constraint"):
        table, known = each.table, _constraint(look, each)
        if is_own(look, table) or _replaced(look, each, known) or _goes(look, table, *(known.columns if known else ())):
            continue
        if not (known and known.references and _goes(look, known.references)):
            yield Remark(message=f"{table} takes rows that {each.name} refuses now")
    for each in look.actions("drop not null", "drop default"):
        table = each.table
        if is_own(look, table) or added_here(look, table, each.name) or _goes(look, table, each.name):
            continue
        if each.what == "drop default":
            if not _given_again(look, each):
                yield Remark(message=f"an INSERT that does not name {table}.{each.name} fails, or stores NULL")
        elif not _checked(look, each):
            yield Remark(message=f"{table}.{each.name} takes NULL, which its readers may not expect")
    for each in look.actions("drop index"):
        index = look.known.indexes.get(key(each.table))
        if index is None or not index.unique or is_own(look, index.table) or _goes(look, index.table, *index.columns):
            continue
        if not _unique_here(look, index.table) and not any(_here(look, index.table, "add constraint")):
            columns = ", ".join(index.columns)
            yield Remark(message=f"{index.table} takes rows twice that {index.name} ({columns}) refuses now")


def _here(look: Look, table: str, *what: str) -> Iterator[Action]:
    """What the file does to a table, before, in and after the statement."""
    for each in (*look.done_before(*what), *look.actions(*what), *look.done_after(*what)):
        if key(each.table) == key(table):
            yield each


def _goes(look: Look, table: str, *columns: str) -> bool:
    """The file drops the table, or one of the columns: another rule tells of that, and what stood on it goes along."""
    if any(key(each.table) == key(table) for each in look.done_after("drop table")):
        return True
    return any(each.name in columns for each in _here(look, table, "drop column"))


def _constraint(look: Look, dropped: Action) -> Constraint | None:
    """What a file says of a constraint, by the name that it gave, or that the server gives."""
    table = look.known.table(dropped.table)
    for each in table.constraints if table else ():
        ending = ENDINGS.get(each.kind, "check")
        columns = () if each.kind == "primary key" else each.columns
        if dropped.name == (each.name or named(dropped.table, columns, ending)):
            return each
    return None


ENDINGS = {"primary key": "pkey", "unique": "key", "foreign key": "fkey", "exclude": "excl"}


def _replaced(look: Look, dropped: Action, known: Constraint | None) -> bool:
    """The same file puts another constraint or a unique index on the table, or has set NOT NULL, which a CHECK was
    there for."""
    if any(_here(look, dropped.table, "add constraint")):
        return True
    if (known is None or known.kind in ("unique", "primary key")) and _unique_here(look, dropped.table):
        return True
    not_null = (*look.done_before("set not null"), *look.actions("set not null"))
    return known is not None and any(
        key(each.table) == key(dropped.table) and each.name == known.expression for each in not_null
    )


def _checked(look: Look, loosened: Action) -> bool:
    """The file sets NOT NULL again, or puts a CHECK there in its place."""
    if any(each.name == loosened.name for each in look.done_after("set not null")):
        return True
    added = (each.constraint for each in _here(look, loosened.table, "add constraint"))
    return any(each is not None and each.kind == "check" for each in added)


def _given_again(look: Look, loosened: Action) -> bool:
    """The column gets another default, or an identity."""
    what = ("set default", "add identity")
    later = (*look.actions(*what), *look.done_after(*what))
    return any(each.name == loosened.name and key(each.table) == key(loosened.table) for each in later)


def _unique_here(look: Look, table: str) -> bool:
    return any("unique" in each.flags for each in _here(look, table, "create index"))


@destructive(
    "DE012",
    "CASCADE takes what is not named",
    Severity.ERROR,
    why="Views, foreign keys, columns, policies and triggers that depend on it go as well, with nothing but a NOTICE. "
    "What depends on it in production, the author does not see in the file.",
    fix="leave CASCADE out, and drop what depends on it by name",
    on=("drop ",),
)
def cascade(look: Look) -> Iterator[Remark]:
    """DROP … CASCADE."""
    for each in look.facts.actions:
        if "cascade" not in each.flags or not each.what.startswith("drop ") or each.what in HARMLESS:
            continue
        if made_before(look, each) or is_own(look, each.table) or each.what == "drop owned":
            continue
        if each.what == "drop materialized view" and rebuilt_here(look, each.table):
            continue
        kind, name = each.what.partition(" ")[2], each.table or each.name
        if kind in ("column", "constraint"):
            name = f"{each.table}.{each.name}"
        known = listed(dependents(look, each.table)) if each.table and kind in ("table", "view") else ""
        what = f"{known}, for one, and whatever else depends" if known else "whatever depends"
        yield Remark(message=f"{what} on the {kind} {name} goes with it")


HARMLESS = ("drop trigger", "drop policy", "drop rule", "drop index", "drop attribute")
"""Nothing, or next to nothing, depends on these; of attributes DE002 tells."""


# --- BREAKING itself ----------------------------------------------------------------------------------------------

ALMOST = regex(r"^[ \t]*--[ \t]*BREAKING(?!:)(?:[ \t]+CHANGES?\b[^\n]*|[ \t]*-[^\n]*)?[ \t]*\r?$", re.MULTILINE)


@file_rule(
    "DE021",
    "BREAKING without a reason",
    Severity.WARNING,
    why="Who reads the file in a review, or after an accident, wants to know why what it destroys may be destroyed. "
    "Without a reason, or with another spelling, nothing is allowed by it.",
    fix="write -- BREAKING: and why",
)
def reason(file: File) -> Iterator[Remark]:
    """An empty reason, or a line that is nearly the right one."""
    for each in file.migration.directives:
        if each.name == "BREAKING" and not each.reason:
            yield Remark(message="no reason is given, so nothing is allowed", place=each.place)
    text = file.migration.text
    for found in ALMOST.finditer(text) if "BREAKING" in text else ():
        place = Place(file.migration.path, text.count("\n", 0, found.start()) + 1)
        yield Remark(message=f"“{found[0].strip()}” is not read as an allowance: a colon and a reason", place=place)


@file_rule(
    "DE022",
    "BREAKING where nothing breaks",
    Severity.NOTE,
    why="A warning that is there for nothing teaches readers to pass over the others, and it allows what somebody "
    "adds to the file later.",
    fix="take the line away",
)
def nothing_breaks(file: File) -> Iterator[Remark]:
    """Only additions in a file that says BREAKING."""
    if file.breaking and file.script and not any(map(may_break, file.statements)):
        place = next(each.place for each in file.migration.directives if each.name == "BREAKING")
        yield Remark(message="every statement of the file only adds", place=place)


ADDITIONS = frozenset(
    (
        "create table",
        "create table as",
        "create sequence",
        "create schema",
        "create extension",
        "create materialized view",
        "create aggregate",
        "create type",
        "create domain",
        "create role",
        "create view",
        "create index",
        "add column",
        "grant",
        "insert",
        "set",
    )
)


def may_break(statement: Statement) -> bool:
    """Whether a statement does anything but add; in doubt it does."""
    facts = statement.facts
    if statement.runtime or facts.kind in (Kind.UNKNOWN, Kind.CODE) or facts.drops or facts.cascade:
        return True
    if not facts.actions:
        return facts.kind in (Kind.DDL, Kind.DML, Kind.UTILITY) and facts.command != "COMMENT"
    return any(
        each.what not in ADDITIONS
        or "replace" in each.flags
        or "unique" in each.flags
        or each.name == "session_replication_role"
        or (each.column is not None and each.column.not_null and not each.column.default)
        for each in facts.actions
    )
