"""Making a hypertable, its locks, and what it refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.edit import replace_first, rewritten
from tidelock.core.lint.known import argument, key, target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.indexes import constraints_of, dimensions_of
from tidelock.core.lint.timescale.interval import length
from tidelock.core.lint.timescale.sight import (
    PER_CHUNK,
    hypertable,
    in_block,
)
from tidelock.core.patterns import regex
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.known import Table
    from tidelock.core.lint.look import Look


@rule(
    "TS008",
    "create_hypertable on a table with rows",
    Severity.ERROR,
    why="Without `migrate_data => true` a table that has rows is refused: 0A000 `table is not empty`. On the empty "
    "database of a test it passes.",
    fix="create the hypertable before it is filled, or add migrate_data => true and plan for the time it takes",
    on=("call",),
)
def filled(look: Look) -> Iterator[str]:
    """create_hypertable after an INSERT or COPY of an earlier statement."""
    for each in look.calls("create_hypertable"):
        table = look.known.table(target(each))
        if table and table.filled and not table.hypertable and argument(each, 99, "migrate_data") is not True:
            yield f"{table.name} has had rows since {table.filled.path}:{table.filled.line}"


@rule(
    "TS018",
    "create_hypertable on a table of an earlier file",
    Severity.WARNING,
    why="Between two deploys applications write to the table, and without `migrate_data => true` one that has rows is "
    "refused: 0A000 `table is not empty`. On the empty database of a test it passes.",
    fix="create the hypertable in the file that creates the table, or add migrate_data => true and plan for the time "
    "it takes",
    on=("call",),
)
def late(look: Look) -> Iterator[str]:
    """create_hypertable of a table that another file has made, and that may have been filled since."""
    for each in look.calls("create_hypertable"):
        table = look.known.table(target(each))
        if table is None or table.place is None or table.hypertable or table.filled or look.is_new(table.name):
            continue
        if argument(each, 99, "migrate_data") is not True:
            yield f"it is refused where {table.name} has got a row since {table.place.path}:{table.place.line}"


@rule(
    "TS010",
    "migrate_data moves every row under a lock",
    Severity.WARNING,
    why="`migrate_data => true` copies the table into chunks in one transaction under an AccessExclusive lock: nobody "
    "reads or writes the table until the last row has moved.",
    fix="for a large table create an empty hypertable beside it, copy in batches, and swap the names",
    on=("call",),
)
def migrates(look: Look) -> Iterator[str]:
    """create_hypertable(…, migrate_data => true)."""
    for each in look.calls("create_hypertable"):
        if argument(each, 99, "migrate_data") is True and not look.is_new(target(each)):
            yield f"{target(each)} can be neither read nor written until all of its rows have moved into chunks"


@rule(
    "TS011",
    "create_hypertable that changes nothing",
    Severity.WARNING,
    why="`if_not_exists => true` on a table that is a hypertable already is a NOTICE, and the arguments are not looked "
    "at: a chunk interval of 1 day stayed when 30 were asked for.",
    fix="change the interval with set_chunk_time_interval; it holds for new chunks",
    on=("call",),
)
def other_arguments(look: Look) -> Iterator[Remark]:
    """create_hypertable(…, if_not_exists => true) with another time column or chunk interval."""
    for each in look.calls("create_hypertable"):
        table = hypertable(look.known, target(each))
        if table is None or argument(each, 99, "if_not_exists") is not True:
            continue
        time, _, interval = str(argument(each, 1, "time_column_name", "dimension") or "").partition(",")
        interval = str(argument(each, 99, "chunk_time_interval") or interval)
        if time and table.time and time != table.time:
            yield Remark(message=f"{table.name} stays partitioned by {table.time}: {time} is not looked at")
        old, new = table.chunk_interval, interval
        if new and (length(old) if old else 7 * 86400.0) != length(new):
            yield Remark(
                message=f"the chunk interval of {table.name} stays {old or '7 days'}: {new} is not looked at",
                rewrite=f"SELECT set_chunk_time_interval('{table.name}', INTERVAL '{new}');"
                if not new.isdecimal()
                else "",
            )


@rule(
    "TS012",
    "create_hypertable on a hypertable",
    Severity.ERROR,
    why="A second create_hypertable without `if_not_exists => true` is refused: TS110 `table is already a hypertable`.",
    fix="delete the call",
    on=("call",),
    refused=("TS110",),
)
def twice(look: Look) -> Iterator[str]:
    """create_hypertable of what an earlier statement made one."""
    for each in look.calls("create_hypertable"):
        if look.known.is_hypertable(target(each)) and argument(each, 99, "if_not_exists") is not True:
            yield f"{target(each)} is a hypertable already"


@rule(
    "TS013",
    "a chunk interval in microseconds",
    Severity.WARNING,
    why="For a timestamp a bare number counts microseconds: `chunk_time_interval => 7` makes a chunk for every 7 "
    "µs, so that each row gets a table of its own. The server only warns `unexpected interval: smaller than one "
    "second`.",
    fix="write an interval: INTERVAL '7 days'",
    on=("call",),
)
def microseconds(look: Look) -> Iterator[str]:
    """A number as chunk interval of a time column."""
    for each in look.calls("create_hypertable", "set_chunk_time_interval"):
        table = look.known.table(target(each))
        place = 1 if each.name.endswith("set_chunk_time_interval") else 99
        interval = argument(each, place, "chunk_time_interval")
        if not isinstance(interval, int) or isinstance(interval, bool) or table is None:
            continue
        time = table.time or str(argument(each, 1, "time_column_name", "dimension") or "").partition(",")[0]
        column = table.columns.get(time)
        if column and column.type in ("timestamptz", "timestamp", "date"):
            yield f"{interval} is {interval / 1e6:g} seconds: {table.name} gets a chunk for each of them"


# --- what a hypertable refuses ---------------------------------------------------------------------------------------


@rule(
    "TS009",
    "a hypertable refuses it",
    Severity.ERROR,
    why="Rules, inheritance, native partitions, ONLY, row triggers with transition tables, foreign keys to another "
    "hypertable, and taking the time column away: PostgreSQL knows them, a hypertable refuses them (0A000, 42P16, "
    "42809, TS101).",
    fix="do without: a trigger for a rule, ALTER TABLE without ONLY, a plain table as the target of foreign keys",
    refused=(
        "0A000",
        "42P16",
        "42809",
        "TS101",
    ),
)
def refused(look: Look) -> Iterator[str]:
    """Everything that a hypertable never takes."""
    for each in look.facts.actions:
        table = hypertable(look.known, each.table)
        if table and (message := _refusal(each, table, look)):
            yield message
        if each.what == "create table" and "inherits" in each.flags:
            yield from (f"{name} is a hypertable: nothing inherits from it" for name in each.names if _is(look, name))
        if each.what == "attach partition" and _is(look, each.name):
            yield f"{each.name} is a hypertable and cannot be a partition"


def _is(look: Look, name: str) -> bool:
    return look.known.is_hypertable(name)


def _refusal(action: Action, table: Table, look: Look) -> str:
    name = action.table
    if action.what == "create rule":
        return f"hypertables do not support rules: {action.name} on {name}"
    if action.what in ("inherit", "no inherit"):
        return f"{name} is a hypertable: it inherits from nothing"
    if action.what == "create trigger" and {"row", "transitions"} <= action.flags:
        return f"{action.name} is a row trigger with transition tables, which the hypertable {name} does not support"
    if "only" in action.flags and action.what != "create index":
        return f"ONLY is refused on the hypertable {name}: what it has lies in its chunks"
    for each in constraints_of(action):
        if each.kind == "foreign key" and _is(look, each.references):
            return f"{name} and {each.references} are hypertables: no foreign key leads from one to another"
    if action.what == "drop column" and action.name in dimensions_of(table):
        return f"{action.name} is what {name} is partitioned by, and stays"
    if action.what == "drop not null" and action.name == table.time:
        return f"{action.name} is the time of {name}, and stays NOT NULL"
    return ""


HEAVY = (
    "add column",
    "drop column",
    "rename column",
    "set default",
    "drop default",
    "set not null",
    "drop not null",
    "add constraint",
    "drop constraint",
    "alter type",
    "create index",
    "create trigger",
)


@rule(
    "TS014",
    "several hypertables locked in one transaction",
    Severity.WARNING,
    why="ALTER TABLE on a hypertable locks it and every chunk, and keeps them until COMMIT: with 50 chunks ADD COLUMN "
    "takes 51 AccessExclusive locks, CREATE INDEX 102. Two hypertables in one transaction wait for each other's "
    "readers and compression jobs, deadlock with those, and may fill the lock table (`out of shared memory`).",
    fix="one hypertable per file",
    on=HEAVY,
)
def many_at_once(look: Look) -> Iterator[str]:
    """ALTER TABLE of a second hypertable in the same transaction."""
    if not (mine := _heavily(look, look.facts.actions)):
        return
    before: set[str] = set()
    for each in look.together:
        before |= _heavily(look, each.facts.actions)
    if (others := sorted(before - mine)) and not mine & before:
        yield f"{', '.join(sorted(mine))} is locked with all of its chunks while those of {', '.join(others)} still are"


def _heavily(look: Look, actions: tuple[Action, ...]) -> set[str]:
    """Hypertables that a statement locks with all of their chunks, those left out that nobody sees yet."""
    return {
        key(each.table)
        for each in actions
        if each.what in HEAVY and _is(look, each.table) and not look.is_new(each.table) and not _apart(each)
    }


def _apart(action: Action) -> bool:
    return PER_CHUNK in action.options


@rule(
    "TS015",
    "a job by its number",
    Severity.ERROR,
    why="Job ids are given out by each database, from 1000: on another one the call stops another job, or fails with "
    "42704. A policy that is removed and added again gets a new id.",
    fix="look the job up by what it does",
    on=("call",),
)
def literal_job(look: Look) -> Iterator[Remark]:
    """alter_job(1004, …), delete_job(1004), CALL run_job(1004)."""
    for each in look.calls("alter_job", "delete_job", "run_job"):
        number = argument(each, 0, "job_id")
        if not isinstance(number, int):
            continue
        name = each.name.rpartition(".")[2]
        edit = replace_first(look.text, rf"\b{number}\b", "job_id")
        rewrite = ""
        if edit and name != "run_job" and re.match(r"\s*SELECT\b", look.text, re.IGNORECASE):
            body = rewritten(look.text, edit).rstrip().rstrip(";")
            rewrite = (
                f"{body}\n  FROM timescaledb_information.jobs\n WHERE proc_name = 'policy_retention' "
                f"AND hypertable_name = '…';"
            )
        yield Remark(message=f"{name}({number}): on another database {number} is another job, or none", rewrite=rewrite)


INTERNAL = regex(r"\b(_hyper_\d+_\d+_chunk|_materialized_hypertable_\d+|_compressed_hypertable_\d+)\b")


@rule(
    "TS016",
    "a chunk by its name",
    Severity.ERROR,
    why="Names like `_hyper_1_4_chunk` and `_materialized_hypertable_3` carry numbers that each database gives out in "
    "its own order: on another one the statement fails, or meets another table's rows.",
    fix="find chunks with show_chunks('TABLE', …), and the table of an aggregate in "
    "timescaledb_information.continuous_aggregates",
)
def internal_names(look: Look) -> Iterator[str]:
    """Names that TimescaleDB makes up."""
    for name in sorted(set(INTERNAL.findall(look.text))) if "hyper" in look.text else ():
        yield f"{name} is another table on another database, or none"


@rule(
    "TS017",
    "the extension is updated in the middle",
    Severity.WARNING,
    why="`ALTER EXTENSION timescaledb UPDATE` has to be the first command of a session: 0A000 `cannot be updated after "
    "the old version has already been loaded`. Tidelock opens a session for it, so what stands before it in the "
    "file is committed by then; psql and every other tool fails.",
    fix="put it into a file of its own",
)
def updates_extension(look: Look) -> Iterator[Remark]:
    """ALTER EXTENSION timescaledb UPDATE after other statements, or in a DO block."""
    if not look.facts.first_in_session:
        return
    if in_block(look):
        yield Remark(message="no DO block can update timescaledb: the block itself has loaded the old version")
    elif look.number or len(look.file.statements) > 1:
        yield Remark(message="it must be the first command of a session, and this file has other statements")
