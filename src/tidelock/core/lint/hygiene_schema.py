"""Hygiene (HY) of tables and columns: types, keys, names."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import QUOTED
from tidelock.core.lint.guards import is_temporary, listed
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, directory_rule, rule
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidelock.core.action import Action, Column
    from tidelock.core.lint.look import Directory, File, Look


def of_type(look: Look, wanted: Callable[[Column], object]) -> str:
    """The columns of the statement that get such a type: `t.a and t.b`."""
    return listed(f"{action.table}.{column.name}" for action, column in columns(look) if wanted(column))


TYPED = ("create table", "add column", "alter type")
"""What gives a column its type."""


def columns(look: Look) -> Iterator[tuple[Action, Column]]:
    """Columns that get a type here, but for tables of the session and of other servers."""
    for each in look.actions(*TYPED):
        if each.flags & {"temporary", "foreign"} or is_temporary(look, each.table):
            continue
        for column in each.columns if each.what == "create table" else filter(None, (each.column,)):
            yield each, column


@cache
def base(type_name: str) -> str:
    """A type without its size and array brackets."""
    return type_name.partition("(")[0].partition("[")[0]


@rule(
    "HY012",
    "timestamp without time zone",
    Severity.WARNING,
    why="It stores what the clock on the wall said and not which wall: the same value is another moment for every "
    "session with another TimeZone, and an hour in autumn is there twice.",
    fix="use timestamptz",
    on=TYPED,
)
def timestamp(look: Look) -> Iterator[str]:
    """Columns of type timestamp."""
    if found := of_type(look, lambda column: base(column.type) == "timestamp"):
        yield f"without a time zone no moment is stored in {found}"


@rule(
    "HY013",
    "char(n)",
    Severity.WARNING,
    why="Values are filled up with blanks to the full length, and comparisons with text come out unexpectedly. It is "
    "no faster than text.",
    fix="use text, with a CHECK where the length matters",
    on=TYPED,
)
def char(look: Look) -> Iterator[str]:
    """Columns of type char(n)."""
    if found := of_type(look, lambda column: base(column.type) == "bpchar"):
        yield f"blanks are added to {found}"


@rule(
    "HY014",
    "varchar(n)",
    Severity.NOTE,
    why="The limit is rarely the right one, and making it smaller later reads every row under a lock.",
    fix="use text, with a CHECK … NOT VALID where the length matters",
    optional=True,
    on=TYPED,
)
def varchar(look: Look) -> Iterator[str]:
    """Columns of type varchar(n)."""
    if found := of_type(look, lambda column: column.type.startswith("varchar(")):
        yield f"a limit is put on {found}"


@rule(
    "HY015",
    "serial",
    Severity.NOTE,
    why="The sequence of a serial has rights of its own that GRANT on the table does not give, and nothing keeps a "
    "row from bringing its own number, with which the sequence collides later.",
    fix="use bigint GENERATED ALWAYS AS IDENTITY",
    optional=True,
    on=TYPED,
)
def serial(look: Look) -> Iterator[str]:
    """Columns of type serial."""
    for action, column in columns(look):
        if column.serial:
            yield f"{action.table}.{column.name} is {column.type}"


LIMITS = {"int4": "2,147,483,647", "serial": "2,147,483,647", "serial4": "2,147,483,647"}
LIMITS |= dict.fromkeys(("int2", "smallserial", "serial2"), "32,767")


@rule(
    "HY016",
    "a primary key that runs out of numbers",
    Severity.WARNING,
    why="When the last number is used every INSERT fails, and the change to bigint writes the table and those that "
    "point to it again, under a lock. Four bytes a row are what it saves. (Rolled-back and conflicting inserts use "
    "numbers up, too.)",
    fix="use bigint GENERATED ALWAYS AS IDENTITY",
    on=("create table",),
)
def small_key(look: Look) -> Iterator[str]:
    """A primary key of one int4 or int2 column that counts upwards."""
    for each in look.actions("create table"):
        if each.flags & {"temporary", "foreign"} or key(each.table) == "schema_migrations":
            continue
        keys = {one.columns for one in each.constraints if one.kind == "primary key"}
        points = {one.columns for one in each.constraints if one.kind == "foreign key"}
        for column in each.columns:
            if column.type not in LIMITS or (column.name,) not in keys or (column.name,) in points:
                continue
            if column.serial or column.generated == "identity" or column.default == "volatile" or column.name == "id":
                yield f"{each.table}.{column.name} ends at {LIMITS[column.type]}"


MONEY = regex(r"(?:^|_)(?:price|amount|cost|costs|balance|salary|fee|fees|tax|revenue|total_price|subtotal)(?:$|_)")


@rule(
    "HY017",
    "money in a float",
    Severity.NOTE,
    why="0.1 + 0.2 is not 0.3 there: sums differ in the last cent, and by the order of the rows. The type money "
    "depends on the server's locale.",
    fix="use numeric, or bigint cents",
    optional=True,
    on=TYPED,
)
def money(look: Look) -> Iterator[str]:
    """Columns that sound like money and are floats."""
    for action, column in columns(look):
        floating = base(column.type) in ("float4", "float8") and MONEY.search(column.name)
        if floating or base(column.type) == "money":
            yield f"{action.table}.{column.name} is {column.type}"


# --- names ---------------------------------------------------------------------------------------------------------

RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
    leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
    session_user some symmetric system_user table then to trailing true union unique user using variadic when where
    window with
    """.split()  # noqa: SIM905
)
ORDINARY = regex(r"[a-z_][a-z0-9_]*")
"""What nearly every name is."""
UNQUOTED = regex(r"[^\W\d][\w$]*")


@rule(
    "HY019",
    "a name that has to be quoted for ever",
    Severity.NOTE,
    why='Capital letters, blanks and reserved words live only in "double quotes": forgotten once, the name is not '
    "found, or, as with user and current_user, means something else.",
    fix="use lower case letters, digits and _",
    on=(
        "create table",
        "create table as",
        "create view",
        "create materialized view",
        "add column",
        "create index",
        "create type",
        "create sequence",
        "rename column",
        "rename table",
    ),
)
def wants_quotes(look: Look) -> Iterator[str]:
    """New names that SQL does not take as they are; those of one statement together."""
    names: list[str] = []
    for each in look.actions("create table", "create table as", "create view", "create materialized view"):
        if "temporary" not in each.flags:
            names += [*each.table.split("."), *(column.name for column in each.columns)]
    names += [each.name for each in look.actions("add column", "create index", "create type", "create sequence")]
    names += [each.new_name for each in look.facts.actions if each.what in ("rename column", "rename table")]
    bad = [each for each in dict.fromkeys(names) if each and _wants_quotes(each)]
    if bad:
        shown = [f'"{each}"' for each in bad[:5]]
        rest = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        yield f"{', '.join(shown) if rest else listed(shown)}{rest} can be said only in double quotes"


def _wants_quotes(name: str) -> bool:
    if ORDINARY.fullmatch(name):
        return name in RESERVED
    parts = [name] if " " in name else name.split(".")
    return any(not UNQUOTED.fullmatch(each) or each != each.lower() or each in RESERVED for each in parts if each)


WORD = regex(r"[^\W\d][\w$]{15,}")
"""What may have more than 63 bytes in UTF-8, with up to four bytes a character."""
LONGEST = 63
SHORT = regex(rf"(?:\S{{0,{LONGEST}}}+(?:\s++|\Z))*+")
"""No stretch without blanks is longer."""


def _may_be_long(text: str) -> bool:
    """Whether a word may have more; four of five times as fast as looking at each."""
    return not text.isascii() or '"' in text or not SHORT.fullmatch(text)


@rule(
    "HY020",
    "a name longer than 63 bytes",
    Severity.WARNING,
    why="PostgreSQL cuts it with nothing but a NOTICE: who looks for the whole name in the catalog finds nothing, and "
    "two names that differ only behind are one.",
    fix="use a shorter name",
    kinds=(Kind.DDL,),
)
def long_name(look: Look) -> Iterator[str]:
    """Identifiers that are cut."""
    if not _may_be_long(look.text):
        return
    names = [found[0][1:-1] for found in QUOTED.finditer(look.text) if found[0].startswith('"')]
    names += WORD.findall(QUOTED.sub(" ", look.text))
    for name in dict.fromkeys(names):
        if len(name.encode()) > LONGEST:
            cut = name.encode()[:LONGEST].decode(errors="ignore")
            yield f"{name} has {len(name.encode())} bytes and becomes {cut}"


@rule(
    "HY022",
    "a name without its schema",
    Severity.NOTE,
    why="Where it is created depends on the search_path of whoever runs the file.",
    fix="write the schema before the name",
    optional=True,
)
def unqualified(look: Look) -> Iterator[str]:
    """Tables, views, types, functions and sequences that are created wherever search_path says."""
    kinds = ("table", "view", "materialized view", "type", "domain", "function", "procedure", "sequence")
    for each in look.facts.creates:
        if each.kind in kinds and not each.schema and not is_temporary(look, each.name):
            yield f"the {each.kind} {each.name} goes wherever search_path says"


# --- keys ----------------------------------------------------------------------------------------------------------


def created(file: File) -> Iterator[tuple[Action, int]]:
    """The tables that a file creates, with the statement's number; not those of the session, partitions and heirs."""
    for number, each in file.acts.get("create table", ()):
        if not each.flags & {"temporary", "partition", "partitioned", "inherits", "like", "foreign"}:
            yield each, number


@directory_rule(
    "HY021",
    "a table without a key",
    Severity.WARNING,
    why="Nothing keeps the same row from being stored twice, no statement can say which of the two it means, and "
    "logical replication refuses UPDATE and DELETE.",
    fix="add a primary key: id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
)
def keyless(directory: Directory) -> Iterator[Remark]:
    """A table that has no primary or unique key when all files are done; hypertables are not meant."""
    for file in directory.files:
        for each, number in created(file):
            place = file.statements[number].place
            table = directory.known.table(each.table)
            if table is None or table.place != place or table.hypertable or table.keys:
                continue
            unique = any(one.unique and key(one.table) == table.name for one in directory.known.indexes.values())
            if not unique:
                yield Remark(message=f"{each.table} has no primary key", place=place)


@rule(
    "HY023",
    "a table made from a query",
    Severity.NOTE,
    why="It has the columns and the rows of the query, but no key, no NOT NULL, no default and no index.",
    fix="CREATE TABLE with all of them, then INSERT … SELECT",
    on=("create table as",),
)
def table_as(look: Look) -> Iterator[str]:
    """CREATE TABLE AS, SELECT INTO."""
    for each in look.actions("create table as"):
        if "temporary" not in each.flags:
            yield f"{each.table} has no keys, defaults and NOT NULL"


@rule(
    "HY024",
    "a column named twice",
    Severity.ERROR,
    why="PostgreSQL refuses it: 42701, in UPDATE 42601.",
    fix="name it once",
    on=("update", "insert", "create table"),
)
def twice_named(look: Look) -> Iterator[str]:
    """UPDATE … SET a = 1, a = 2; INSERT INTO t (a, a); CREATE TABLE t (a int, a int)."""
    for each in look.actions("update", "insert", "create table"):
        names = each.names if each.what != "create table" else tuple(column.name for column in each.columns)
        if "parts" in each.flags or len(set(names)) == len(names):
            continue
        double = [name for name, count in Counter(names).items() if name and count > 1]
        if double:
            yield f"{listed(f'{each.table}.{name}' for name in double)} is named more than once"


COMMENT = regex(r"\bCOMMENT\s+ON\s+TABLE\s+((?:\w+|\"[^\"]+\")(?:\.(?:\w+|\"[^\"]+\"))?)", re.IGNORECASE)


@directory_rule(
    "HY029",
    "a table without COMMENT",
    Severity.NOTE,
    why="The catalog is where people and tools look for what a table is for.",
    fix="COMMENT ON TABLE … IS '…'",
    optional=True,
)
def uncommented(directory: Directory) -> Iterator[Remark]:
    """A table that no file comments on."""
    said = {
        key(found[1].replace('"', "") if '"' in found[1] else found[1].lower())
        for file in directory.files
        for found in COMMENT.finditer(file.migration.text)
    }
    for file in directory.files:
        for each, number in created(file):
            place = file.statements[number].place
            table = directory.known.table(each.table)
            if table and table.place == place and key(each.table) not in said:
                rewrite = f"COMMENT ON TABLE {quoted(each.table)} IS '…';"
                yield Remark(message=f"nothing says what {each.table} is for", rewrite=rewrite, place=place)
