"""Types, defaults and generated columns: what writes every row again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.facts import facts_of
from tidelock.core.lint.compose import lines, quoted
from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.known import key
from tidelock.core.lint.locking.rewriting import Change, change
from tidelock.core.lint.locking.use import changes, has_columnstore, single
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.patterns import regex
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Column
    from tidelock.core.lint.look import Look

NEW_COLUMN = (
    "add a column of the new type, let a trigger or the application write both, fill the old rows in batches, and "
    "change names in a later file"
)


def retyped(look: Look) -> Iterator[tuple[Action, Column, str, Change]]:
    """Each change of a type: the action, the new column, its old type ("" when no file says it), what it costs."""
    for each in changes(look, "alter type"):
        if each.column is None or has_columnstore(look, each.table):
            continue
        known = look.known.column(each.table, each.name)
        old = known.type if known else ""
        cost = change(old, each.column.type) if old else Change.UNKNOWN
        if cost is Change.IN_UTC and in_utc(look):
            cost = Change.FREE
        yield each, each.column, old, Change.REWRITE if "computes" in each.flags else cost


def in_utc(look: Look) -> bool:
    """This transaction has set the session's TimeZone to UTC."""
    zones = [one.names for each in look.together for one in each.facts.actions if one.name == "timezone"]
    return bool(zones) and zones[-1] in (("UTC",), ("utc",))


@rule(
    "LK020",
    "a change of type writes every row again",
    Severity.ERROR,
    why="The table is copied into a new file, and every index of it built again, under an AccessExclusive lock; as "
    "much disk as the table has is needed beside it. (Free are: more length or digits, varchar to text, and between "
    "timestamp and timestamptz in a session whose TimeZone is UTC.)",
    fix=NEW_COLUMN,
    on=("alter type",),
)
def rewriting_type(look: Look) -> Iterator[str]:
    """ALTER COLUMN TYPE from a type that an earlier file gave."""
    for action, column, old, cost in retyped(look):
        if cost is Change.REWRITE:
            what = f"from {old} to {column.type}" if old else f"to {column.type} with a USING that computes"
            yield f"nobody reads or writes {action.table} while {action.name} goes {what} in every row"


@rule(
    "LK021",
    "a change of type that may write every row again",
    Severity.WARNING,
    why="Whether the table is rewritten under an AccessExclusive lock hangs on the type that the column had, on the "
    "session's TimeZone between timestamp and timestamptz, or on a type that is not PostgreSQL's own.",
    fix=f"look up the old type; if it is not just a shorter one: {NEW_COLUMN}",
    on=("alter type", "alter attribute"),
)
def unknown_type(look: Look) -> Iterator[Remark]:
    """ALTER COLUMN TYPE whose old type no file says; ALTER ATTRIBUTE … CASCADE."""
    for each in look.actions("alter attribute"):
        if "cascade" in each.flags:
            yield Remark(
                message=f"every table OF {each.table} may be rewritten, as its column {each.name} changes with the type"
            )
    for action, column, old, cost in retyped(look):
        if "collates" in action.flags and cost is not Change.REWRITE and _indexed(look, action):
            yield Remark(
                message=f"nobody reads or writes {action.table} while each index on {action.name} is built again, "
                "unless it has that collation already"
            )
        if cost is Change.IN_UTC:
            yield Remark(
                message=f"{action.table} is rewritten while {action.name} goes from {old} to {column.type}, unless the "
                "session's TimeZone is UTC",
                hint="put SET TimeZone = 'UTC' before it, if the values are meant in UTC",
                rewrite=lines("SET TimeZone = 'UTC'", look.text) if single(look) else "",
            )
        elif cost is Change.UNKNOWN and old:
            yield Remark(message=f"{action.table} is rewritten, unless {column.type} is stored as {old} is")
        elif cost is Change.UNKNOWN:
            yield Remark(
                message=f"no file says which type {action.name} had; {action.table} is rewritten, unless "
                f"{_unless(column.type)}"
            )


def _indexed(look: Look, action: Action) -> bool:
    """Whether a column has an index, or may have one that no file tells of."""
    table = look.known.table(action.table)
    if table is None or not table.whole:
        return True
    indexes = [each.columns for each in look.known.indexes.values() if each.table == table.name]
    return any(action.name in each or "" in each for each in (*table.keys, *indexes))


def _unless(new: str) -> str:
    base, _, size = new.partition("(")
    if base in ("text", "varchar"):
        return "it was text or varchar" + (f" of at most {size.rstrip(')')} characters" if size else "")
    if base == "numeric":
        return "it was numeric with the same digits after the point and no more before it"
    return f"it was {new} already"


# --- new columns -----------------------------------------------------------------------------------------------------

DEFAULT = regex(
    r"(?P<before>.*?\bADD\s.*?)(?:\s+NOT\s+NULL)?\s+DEFAULT\s+(?P<value>.*?)(?:\s+NOT\s+NULL)?\s*", re.I | re.DOTALL
)


def default_afterwards(look: Look, action: Action) -> str:
    """The column without its default, then the default for new rows; the old ones are to be filled in batches."""
    found = DEFAULT.fullmatch(look.text) if single(look) else None
    if found is None:
        return ""
    table, column = quoted(action.table), quoted(action.name)
    added, default = found["before"], f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {found['value']}"
    made = [each.column for each in facts_of(added, detailed=True).actions]
    if len(made) != 1 or made[0] is None or made[0].type != (action.column and action.column.type) or made[0].default:
        return ""
    return lines(added, default, f"-- then fill {column} of the old rows, in batches")


def new_columns(look: Look) -> Iterator[tuple[Action, Column]]:
    """Columns that a table gets which others use."""
    for each in changes(look, "add column"):
        if each.column is not None and not has_columnstore(look, each.table):
            yield each, each.column


@rule(
    "LK022",
    "a new column whose default differs from row to row",
    Severity.ERROR,
    why="A constant default is stored once, in the catalog, and so is now(). One that gives each row its own value has "
    "to be written into each row: the table is rewritten under an AccessExclusive lock.",
    fix="add the column without it, set the default for new rows, and fill the old ones in batches",
    on=("add column",),
)
def volatile_default(look: Look) -> Iterator[Remark]:
    """ADD COLUMN … DEFAULT random()."""
    for action, column in new_columns(look):
        if column.default == "volatile":
            yield Remark(
                message=f"nobody reads or writes {action.table} while every row gets its own {column.name}",
                rewrite=default_afterwards(look, action),
            )


@rule(
    "LK023",
    "a new column whose default calls a function that may differ from row to row",
    Severity.WARNING,
    why="A function is VOLATILE unless its CREATE says otherwise, and then the table is rewritten under an "
    "AccessExclusive lock (LK022).",
    fix="make the function STABLE or IMMUTABLE if it is; else add the column without the default and set it afterwards",
    on=("add column",),
)
def unknown_default(look: Look) -> Iterator[Remark]:
    """ADD COLUMN … DEFAULT f()."""
    for action, column in new_columns(look):
        if column.default == "unknown":
            yield Remark(
                message=f"every row of {action.table} gets its own {column.name}, and nobody uses it meanwhile, unless "
                "the default's function is STABLE or IMMUTABLE",
                rewrite=default_afterwards(look, action),
            )


@rule(
    "LK024",
    "a new column that numbers or computes every row",
    Severity.ERROR,
    why="serial, GENERATED … AS IDENTITY and GENERATED … STORED give each row that is there a value: the table is "
    "rewritten under an AccessExclusive lock.",
    fix="add a plain column, fill it in batches, and give it its sequence, identity or trigger afterwards; or compute "
    "in a view, or (from PostgreSQL 18 on) in a VIRTUAL column",
    on=("add column",),
)
def numbered_column(look: Look) -> Iterator[str]:
    """ADD COLUMN serial, IDENTITY, STORED."""
    for action, column in new_columns(look):
        if column.serial or column.generated in ("identity", "stored"):
            what = column.type if column.serial else f"GENERATED {column.generated.upper()}"
            yield written(action, column, what)


@rule(
    "LK026",
    "a new column of a domain that has a constraint",
    Severity.ERROR,
    why="PostgreSQL asks the domain's CHECK or NOT NULL of the value of each row that is there, also where that is "
    "NULL or a constant default, and writes the table anew for it, under an AccessExclusive lock.",
    fix="add the column with the domain's base type, and the same CHECK on the table as NOT VALID; VALIDATE it in the "
    "next file",
    on=("add column",),
)
def constrained_domain(look: Look) -> Iterator[str]:
    """ADD COLUMN of a domain that a file has made with a constraint, or given one."""
    for action, column in new_columns(look):
        if key(column.type.partition("[")[0]) in look.known.constrained and not column.generated:
            yield written(action, column, column.type)


def written(action: Action, column: Column, what: str) -> str:
    """What a new column that is written into every row means for the others."""
    return f"nobody reads or writes {action.table} while {column.name} ({what}) is written into every row"


@rule(
    "LK025",
    "a json column makes queries fail",
    Severity.WARNING,
    why="json has no equality: SELECT DISTINCT, UNION and GROUP BY over all columns of the table fail with 42883, also "
    "those that worked before the column was added. jsonb has one.",
    fix="use jsonb",
    on=("add column", "create table"),
)
def json_column(look: Look) -> Iterator[Remark]:
    """ADD COLUMN … json, and CREATE TABLE with one."""
    for action in look.actions("add column", "create table"):
        for column in (action.column,) if action.column else action.columns:
            if column.type != "json":
                continue
            edit = (
                replace_first(look.text, rf"(?<=\b{re.escape(column.name)} )json\b", "jsonb") if single(look) else None
            )
            yield Remark(
                message=f"SELECT DISTINCT and UNION over {action.table}.* fail once {column.name} is there",
                rewrite=rewritten(look.text, edit) if edit else "",
            )
