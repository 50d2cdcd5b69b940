"""Idempotence (ID) of ALTER and DROP: what a second run finds done already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import Edit, insert_behind, rewritten
from tidelock.core.lint.guards import OWNED, checked, in_do, mended, no_constraint, sql_text, twice
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.report import Severity
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.look import Look


def _spelled(name: str) -> str:
    """A regular expression for a name as SQL may write it."""
    return rf'(?:"{re.escape(name)}"|\b{re.escape(name)}\b)'


@rule(
    "ID012",
    "ADD COLUMN without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run stops with 42701, as the column is there.",
    fix="write ADD COLUMN IF NOT EXISTS",
    on=("add column",),
)
def add_column(look: Look) -> Iterator[Remark]:
    """A column that nobody guards."""
    found: list[tuple[str, Edit | None]] = []
    for each in twice(look, "add column"):
        edit = _before_name(look.text, r"\bADD\s+(?:COLUMN\s+)?(?=" + _spelled(each.name) + ")", "ADD COLUMN")
        found.append((f"a second run stops at the column {each.name} of {each.table}, which is there already", edit))
    yield from mended(look, found)


def _before_name(text: str, pattern: str, words: str, guard: str = "IF NOT EXISTS") -> Edit | None:
    match = re.search(pattern, text, re.IGNORECASE)
    return Edit(match.start(), match.end(), f"{words} {guard} ") if match else None


WORDS = {
    "drop column": r"\bDROP\s+(?:COLUMN\s+)?",
    "drop constraint": r"\bDROP\s+CONSTRAINT\s+",
}
DROPS = (
    "drop table",
    "drop view",
    "drop materialized view",
    "drop index",
    "drop sequence",
    "drop schema",
    "drop extension",
    "drop function",
    "drop procedure",
    "drop trigger",
    "drop policy",
    "drop rule",
    "drop type",
    "drop domain",
    "drop role",
    "drop database",
    "drop publication",
    "drop subscription",
    "drop tablespace",
    "drop other",
)


@rule(
    "ID013",
    "DROP without IF EXISTS",
    Severity.WARNING,
    why="A second run stops, as it is gone already.",
    fix="write DROP … IF EXISTS",
    on=("drop column", "drop constraint", *DROPS),
)
def drop(look: Look) -> Iterator[Remark]:
    """A DROP that nobody guards."""
    found: list[tuple[str, Edit | None]] = []
    for each in look.actions("drop column", "drop constraint"):
        if not _harmless(look, each):
            pattern = WORDS[each.what] + "(?=" + _spelled(each.name) + ")"
            edit = _before_name(look.text, pattern, each.what.upper(), "IF EXISTS")
            kind = each.what.partition(" ")[2]
            found.append((f"a second run stops, as {each.table} has no {kind} {each.name} any more", edit))
    gone = [each for each in look.actions(*DROPS) if not _harmless(look, each)]
    if gone:
        kind = look.facts.command.removeprefix("DROP ").removesuffix(" CONCURRENTLY").lower()
        if look.facts.kind is Kind.CODE:
            kind = gone[0].what.removeprefix("drop ")
        names = [f"{each.name} on {each.table}" if kind in OWNED else each.table or each.name for each in gone]
        pattern = rf"\A\s*DROP\s+{kind.replace(' ', chr(92) + 's+')}(?:\s+CONCURRENTLY)?\b"
        edit = insert_behind(look.text, pattern, " IF EXISTS")
        found.append((f"a second run stops at the {kind} {', '.join(names)}, which is gone already", edit))
    yield from mended(look, found)


def _harmless(look: Look, action: Action) -> bool:
    """It looks first, or drops what this file makes anew each time."""
    if "guarded" in action.flags or checked(look):
        return True
    kind = action.what.partition(" ")[2]
    if kind not in OWNED and kind != "table":
        return False
    return any(
        key(each.table) == key(action.table) and (kind == "table" or _named(each) == action.name)
        for each in look.done_before(f"create {kind}", f"add {kind}", *(["create table as"] * (kind == "table")))
    )


def _named(action: Action) -> str:
    return action.constraint.name if action.constraint else action.name


@rule(
    "ID014",
    "ALTER TABLE without IF EXISTS",
    Severity.NOTE,
    why="Where the table is not there the file stops; with IF EXISTS it goes on with a NOTICE. Optional, because a "
    "table that is missing is usually a fault that should be seen.",
    fix="write ALTER TABLE IF EXISTS",
    optional=True,
)
def alter_table(look: Look) -> Iterator[Remark]:
    """ALTER TABLE that takes the table for granted."""
    if look.facts.command.startswith("ALTER TABLE") and not checked(look):
        edit = insert_behind(look.text, r"\A\s*ALTER\s+TABLE\b(?!\s+IF\b)", " IF EXISTS")
        table = next((each.table for each in look.facts.actions), "")
        if edit and table and not look.is_new(table):
            yield Remark(message=f"where {table} is not there the file stops", rewrite=rewritten(look.text, edit))


UNNAMED = {
    "primary key": "a second run stops, as {table} has a primary key already",
    "unique": "a second run builds the same unique index on {table} again, under another name",
    "foreign key": "a second run adds the same foreign key to {table} again, under another name",
    "check": "a second run adds the same check to {table} again, under another name",
    "exclude": "a second run builds the same exclusion constraint on {table} again, under another name",
}


@rule(
    "ID015",
    "ADD CONSTRAINT without a guard",
    Severity.WARNING,
    why="ADD CONSTRAINT knows no IF NOT EXISTS: a second run stops with 42710, and one without a name is added again "
    "under another name, so that every write is checked twice.",
    fix="give it a name, and put it into a DO block that asks pg_constraint first, or DROP CONSTRAINT IF EXISTS before",
    on=("add constraint",),
)
def add_constraint(look: Look) -> Iterator[Remark]:
    """A constraint that nobody guards."""
    alone = len(look.facts.actions) == 1
    dropped = [each for each in look.actions("drop constraint") if "guarded" in each.flags]
    for each in twice(look, "add constraint"):
        if each.constraint is None or any(_named(other) == each.constraint.name for other in dropped):
            continue
        name = each.constraint.name
        message = f"a second run stops at the constraint {name} of {each.table}, which is there already"
        if not name:
            message = UNNAMED.get(each.constraint.kind, "a second run adds it again").format(table=each.table)
        yield Remark(
            message=message, rewrite=in_do(no_constraint(each.table, name), look.text) if name and alone else ""
        )


@rule(
    "ID016",
    "ADD VALUE without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run stops with 42710, as the enum has the value.",
    fix="write ADD VALUE IF NOT EXISTS",
    on=("add value",),
)
def add_value(look: Look) -> Iterator[Remark]:
    """A value of an enum that nobody guards."""
    for each in look.actions("add value"):
        if "guarded" not in each.flags and not checked(look):
            edit = insert_behind(look.text, r"\bADD\s+VALUE\b", " IF NOT EXISTS")
            yield from mended(look, [(f"a second run stops at “{each.new_name}”, which {each.name} has already", edit)])


@rule(
    "ID017",
    "RENAME or SET SCHEMA without a check",
    Severity.WARNING,
    why="A second run does not find the old name and stops.",
    fix="put it into a DO block that looks for the old name first",
    on=("rename ", "set schema"),
)
def rename(look: Look) -> Iterator[Remark]:
    """A name that is another one the second time."""
    for each in look.facts.actions:
        if not each.what.startswith("rename ") and each.what != "set schema":
            continue
        if each.flags & {"guarded"} or look.facts.guarded or checked(look):
            continue
        condition = _old_name_exists(each)
        old = f"{each.table}.{each.name}" if each.what in ("rename column", "rename value") else each.name or each.table
        moved = each.what == "set schema"
        yield Remark(
            message=f"a second run stops, as {each.table if moved else old} has its new "
            f"{'schema' if moved else 'name'} then",
            rewrite=in_do(condition, look.text) if condition else "",
        )


def _old_name_exists(action: Action) -> str:
    """The condition under which there is something to rename."""
    schema, _, table = action.table.rpartition(".")
    where = f"table_schema = {sql_text(schema)}" if schema else "table_schema = current_schema()"
    kind = action.what.partition(" ")[2]
    if action.what == "rename column":
        return (
            f"EXISTS (SELECT FROM information_schema.columns WHERE {where} "
            f"AND table_name = {sql_text(table)} AND column_name = {sql_text(action.name)})"
        )
    if kind in ("table", "view", "index", "sequence", "materialized view") or action.what == "set schema":
        what = action.table or action.name
        return f"to_regclass({sql_text(quoted(what))}) IS NOT NULL"
    if kind in ("type", "domain"):
        return f"to_regtype({sql_text(quoted(action.name))}) IS NOT NULL"
    if kind == "constraint":
        return no_constraint(action.table, action.name).removeprefix("NOT ")
    return ""


ONCE = {
    "attach partition": "{name} is a partition of {table} already",
    "detach partition": "{name} is no partition of {table} any more",
    "inherit": "{table} has that parent already",
    "no inherit": "{table} has that parent no more",
    "add identity": "{table}.{name} has an identity already",
    "drop identity": "{table}.{name} has no identity any more",
    "drop expression": "{table}.{name} is generated no more",
}


LOOKS_FIRST = (
    "no block may hold it, so look first: SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass({})) AS "
    "attached \\gset, and put it between \\if :attached and \\endif"
)


@rule(
    "ID018",
    "ALTER TABLE that can be done only once",
    Severity.WARNING,
    why="A second run stops: PostgreSQL refuses to attach what is attached, and to take away what is gone.",
    fix="put it into a DO block that looks first; DROP IDENTITY and DROP EXPRESSION know IF EXISTS; DETACH … "
    "CONCURRENTLY, which no block may hold, goes between \\if and \\endif",
    on=tuple(ONCE),
)
def once(look: Look) -> Iterator[Remark]:
    """Partitions, parents, identities."""
    for each in look.actions(*ONCE):
        if "guarded" not in each.flags and not checked(look) and not look.is_new(each.table):
            what = ONCE[each.what].format(table=each.table, name=each.name)
            edit = insert_behind(look.text, r"\bDROP\s+(?:IDENTITY|EXPRESSION)\b", " IF EXISTS")
            yield Remark(
                message=f"a second run stops, as {what}",
                hint=LOOKS_FIRST.format(sql_text(quoted(each.name))) if "concurrently" in each.flags else "",
                rewrite=rewritten(look.text, edit) if edit else "",
                edit=edit,
            )
