"""Idempotence (ID): what fails or adds something when it is run a second time. Here: CREATE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import quoted
from tidelock.core.lint.edit import insert_after, insert_behind, rewritten
from tidelock.core.lint.guards import checked, dropped_before, in_do, is_fresh, mended, sql_text, twice
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.patterns import regex
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action, Column
    from tidelock.core.lint.look import Look

PER_CHUNK = ("timescaledb.transaction_per_chunk", "tsdb.transaction_per_chunk")


@rule(
    "ID001",
    "CREATE TABLE without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run, by hand after a crash or in a database that somebody has helped along, stops with 42P07.",
    fix="write CREATE TABLE IF NOT EXISTS",
    on=("create table", "create table as"),
)
def create_table(look: Look) -> Iterator[Remark]:
    """A table that nobody guards."""
    for each in twice(look, "create table", "create table as"):
        edit = insert_behind(look.text, r"\A\s*CREATE\s+(?:UNLOGGED\s+|FOREIGN\s+)?TABLE\b", " IF NOT EXISTS")
        yield from mended(look, [(f"a second run stops at {each.table}, which is there already", edit)])


BEFORE_NAME = r"\A\s*CREATE\s+(?:UNIQUE\s+)?INDEX(?:\s+CONCURRENTLY)?\b"


@rule(
    "ID002",
    "CREATE INDEX without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run stops with 42P07; an index without a name is built a second time, under another name, and every "
    "write pays for both. Also for one built CONCURRENTLY: an invalid one of that name, which the guard would pass "
    "by, is dropped by `apply` before it builds. (Where other tools run the files, ID011 tells of that.)",
    fix="give it a name and write IF NOT EXISTS",
    on=("create index",),
)
def create_index(look: Look) -> Iterator[Remark]:
    """An index that nobody guards."""
    for each in twice(look, "create index"):
        edit = None
        if each.name:
            edit = insert_behind(look.text, BEFORE_NAME, " IF NOT EXISTS")
            message = f"a second run stops at the index {each.name}, which is there already"
        else:
            columns = ", ".join(name or "…" for name in each.names)
            message = f"a second run builds a second index on {each.table} ({columns}), as this one has no name"
        named = insert_behind(look.text, BEFORE_NAME, f" IF NOT EXISTS {quoted(_name(each))}")
        remark = edit or named
        yield Remark(message=message, rewrite=rewritten(look.text, remark) if remark else "", edit=edit)


def _name(index: Action) -> str:
    """The name that the server would give the index."""
    table = index.table.rpartition(".")[2]
    return f"{table}_{'_'.join(name or 'expr' for name in index.names)}_idx"


def is_long(index: Action) -> bool:
    """Built in several transactions: stopped half-way it stays behind, invalid."""
    return "concurrently" in index.flags or any(name in index.options for name in PER_CHUNK)


ELEMENTS = regex(r"\w\s+(?:CREATE|GRANT)\b", re.IGNORECASE)
"""What stands in a CREATE SCHEMA besides it."""
GUARDED = ("schema", "sequence", "extension", "materialized view", "aggregate")


@rule(
    "ID003",
    "CREATE of a schema, sequence, extension or materialized view without IF NOT EXISTS",
    Severity.WARNING,
    why="A second run stops, as it is there already.",
    fix="write IF NOT EXISTS",
    on=tuple(f"create {kind}" for kind in GUARDED),
)
def create_guarded(look: Look) -> Iterator[Remark]:
    """Things that know IF NOT EXISTS."""
    for each in twice(look, *(f"create {kind}" for kind in GUARDED)):
        words = {"create aggregate": "MATERIALIZED VIEW"}.get(each.what, each.what.partition(" ")[2].upper())
        edit = insert_after(look.text, f"CREATE {words}", " IF NOT EXISTS")
        if each.what == "create schema" and ELEMENTS.search(look.text):
            hint = "take what is in it out of the statement, which knows no IF NOT EXISTS as it is"
            yield Remark(message=f"a second run stops at the schema {each.name}, which is there already", hint=hint)
            continue
        name = each.table or each.name
        yield from mended(look, [(f"a second run stops at the {words.lower()} {name}, which is there already", edit)])


@rule(
    "ID004",
    "CREATE of a view, function, trigger or rule without OR REPLACE",
    Severity.WARNING,
    why="A second run stops, as it is there already.",
    fix="write CREATE OR REPLACE, or DROP … IF EXISTS before it",
    on=("create view", "create function", "create procedure", "create rule"),
)
def create_replaceable(look: Look) -> Iterator[Remark]:
    """Things that know OR REPLACE."""
    for each in twice(look, "create view", "create function", "create procedure", "create rule"):
        edit = insert_after(look.text, "CREATE", " OR REPLACE")
        kind = each.what.partition(" ")[2]
        name = each.name or each.table
        yield from mended(look, [(f"a second run stops at the {kind} {name}, which is there already", edit)])


@rule(
    "ID005",
    "CREATE TRIGGER without OR REPLACE",
    Severity.WARNING,
    why="A second run stops with 42710. OR REPLACE exists from PostgreSQL 14 on; constraint triggers and triggers of "
    "hypertables know no such thing: DROP TRIGGER IF EXISTS before it does for them.",
    fix="write CREATE OR REPLACE TRIGGER, or DROP TRIGGER IF EXISTS before it",
    on=("create trigger",),
)
def create_trigger(look: Look) -> Iterator[Remark]:
    """A trigger that nobody guards."""
    for each in twice(look, "create trigger"):
        edit = insert_after(look.text, "CREATE", " OR REPLACE") if _replaceable(look, each) else None
        before = f"DROP TRIGGER IF EXISTS {quoted(each.name)} ON {quoted(each.table)};\n{look.text};"
        yield Remark(
            message=f"a second run stops at the trigger {each.name} on {each.table}, which is there already",
            rewrite=rewritten(look.text, edit) if edit else before,
            edit=edit,
        )


def _replaceable(look: Look, trigger: Action) -> bool:
    """The files say what table it is, and no hypertable."""
    table = look.known.table(trigger.table)
    return table is not None and table.whole and not table.hypertable and "constraint" not in trigger.flags


@rule(
    "ID006",
    "CREATE POLICY without DROP POLICY IF EXISTS before it",
    Severity.WARNING,
    why="CREATE POLICY knows neither IF NOT EXISTS nor OR REPLACE: a second run stops with 42710.",
    fix="write DROP POLICY IF EXISTS before it, in the same file",
    on=("create policy",),
)
def create_policy(look: Look) -> Iterator[Remark]:
    """A policy that nobody guards."""
    for each in twice(look, "create policy"):
        before = f"DROP POLICY IF EXISTS {quoted(each.name)} ON {quoted(each.table)};\n{look.text};"
        yield Remark(
            message=f"a second run stops at the policy {each.name} on {each.table}, which is there already",
            rewrite=before,
        )


@rule(
    "ID007",
    "CREATE TYPE or DOMAIN without a check",
    Severity.WARNING,
    why="They know no IF NOT EXISTS: a second run stops with 42710.",
    fix="put it into a DO block that asks to_regtype() first",
    on=("create type", "create domain"),
)
def create_type(look: Look) -> Iterator[Remark]:
    """A type that nobody guards."""
    for each in twice(look, "create type", "create domain"):
        yield Remark(
            message=f"a second run stops at the {each.what.partition(' ')[2]} {each.name}, which is there already",
            rewrite=in_do(f"to_regtype({sql_text(quoted(each.name))}) IS NULL", look.text),
        )


@rule(
    "ID008",
    "CREATE ROLE without a check",
    Severity.WARNING,
    why="Roles belong to the whole cluster: the next database on it has the role already, and CREATE ROLE knows no "
    "IF NOT EXISTS.",
    fix="put it into a DO block that asks pg_roles first",
    on=("create role",),
)
def create_role(look: Look) -> Iterator[Remark]:
    """A role that nobody guards."""
    for each in twice(look, "create role"):
        name = sql_text(each.name)
        secret = "password" in each.options  # not said again
        yield Remark(
            message=f"a second run, or the next database of the cluster, stops at the role {each.name}",
            rewrite="" if secret else in_do(f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name})", look.text),
        )


UNGUARDED = (
    "DATABASE",
    "TABLESPACE",
    "PUBLICATION",
    "SUBSCRIPTION",
    "EVENT TRIGGER",
    "CAST",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "CONVERSION",
    "ACCESS METHOD",
    "AGGREGATE",
    "COLLATION",
    "STATISTICS",
    "SERVER",
    "FOREIGN DATA WRAPPER",
    "USER MAPPING",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
)


@rule(
    "ID009",
    "CREATE of something else without a guard",
    Severity.WARNING,
    why="A second run stops, as it is there already.",
    fix="write IF NOT EXISTS where it is known (server, user mapping, statistics, collation), OR REPLACE (aggregate), "
    "else DROP … IF EXISTS before it",
)
def create_other(look: Look) -> Iterator[Remark]:
    """Rare things."""
    verb, _, kind = look.facts.command.partition(" ")
    if verb != "CREATE" or kind not in UNGUARDED or look.facts.guarded or look.facts.rerunnable or checked(look):
        return
    names = {each.name for each in look.facts.creates}
    dropped = any(each.name in names for before in look.earlier for each in before.facts.drops)
    if not dropped:
        name = " ".join(sorted(names))
        yield Remark(message=f"a second run stops at the {kind.lower()} {name}".rstrip())


@rule(
    "ID010",
    "a guard that hides another table of the same name",
    Severity.ERROR,
    why="CREATE TABLE IF NOT EXISTS does nothing when a table of that name is there, whatever its columns are: an "
    "earlier file has made it, so the columns that this file adds never come to be.",
    fix="add the columns with ALTER TABLE … ADD COLUMN IF NOT EXISTS",
    on=("create table",),
)
def hidden_table(look: Look) -> Iterator[Remark]:
    """A table that an earlier file creates with other columns."""
    for each in look.actions("create table"):
        table = look.known.table(each.table)
        if "guarded" not in each.flags or table is None or not table.whole or each.flags & {"temporary", "partition"}:
            continue
        if is_fresh(look, each.table) or table.place is None:
            continue
        missing = [column for column in each.columns if column.name not in table.columns]
        other = [column for column in each.columns if _other_type(table.columns.get(column.name), column)]
        if not missing and not other:
            continue
        where = f"{table.place.path}:{table.place.line}"
        what = [f"{column.name} is missing there" for column in missing]
        what += [f"{column.name} is {table.columns[column.name].type} there, not {column.type}" for column in other]
        lines = [
            f"ALTER TABLE {quoted(each.table)} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column.type};"
            for column in missing
        ]
        yield Remark(
            message=f"nothing is created, as {where} has created {each.table} before: {', '.join(what)}",
            rewrite="\n".join(lines),
        )


PLAIN_TYPES = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}


def _other_type(old: Column | None, new: Column) -> bool:
    """Whether a column has another type in the table that is there."""
    return old is not None and PLAIN_TYPES.get(old.type, old.type) != PLAIN_TYPES.get(new.type, new.type)


@rule(
    "ID011",
    "IF NOT EXISTS passes by an invalid index",
    Severity.NOTE,
    why="A build CONCURRENTLY or per chunk that is stopped half-way leaves an invalid index: it costs every write and "
    "serves no query. Run again, IF NOT EXISTS finds the name, says “already exists, skipping” and succeeds. Tidelock "
    "looks for that when it runs the file, and drops it first; psql and other tools do not. Optional, for directories "
    "that others run too.",
    fix="drop an invalid one before it, in the same file; or leave out IF NOT EXISTS, so that a second run stops",
    optional=True,
    on=("create index",),
)
def hidden_index(look: Look) -> Iterator[Remark]:
    """A guard on an index that may be there and invalid."""
    for each in look.actions("create index"):
        if "guarded" in each.flags and is_long(each) and not checked(look) and not dropped_before(look, each):
            drop = "DROP INDEX CONCURRENTLY" if "concurrently" in each.flags else "DROP INDEX"
            yield Remark(
                message=f"a build that was stopped leaves {key(each.name)} invalid, and other tools than Tidelock pass "
                "it by: pg_index.indisvalid tells",
                rewrite=f"{drop} IF EXISTS {quoted(each.name)};\n{look.text};",
            )
