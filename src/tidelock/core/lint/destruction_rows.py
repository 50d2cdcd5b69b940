"""Destruction (DE) of rows: TRUNCATE, DELETE and UPDATE of everything, narrower types, chunks, retention."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.facts import facts_of
from tidelock.core.lint.breaking import added_here, dependents, destructive, is_own
from tidelock.core.lint.guards import listed, removed_before
from tidelock.core.lint.known import argument, target
from tidelock.core.lint.locking.use import of_all_rows
from tidelock.core.lint.narrowing import lost
from tidelock.core.lint.rule import Remark
from tidelock.core.patterns import regex
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.known import Policy
    from tidelock.core.lint.look import Look


@destructive(
    "DE008",
    "TRUNCATE takes all rows",
    Severity.ERROR,
    why="All rows are gone but for the last backup; CASCADE empties every table that points to it as well, without "
    "naming it.",
    fix="delete what has to go with a WHERE",
    on=("truncate",),
)
def truncate(look: Look) -> Iterator[Remark]:
    """TRUNCATE of a table that the file has not made itself."""
    for each in look.actions("truncate"):
        if is_own(look, each.table):
            continue
        message = f"all rows of {each.table} are gone"
        if "cascade" in each.flags:
            known = [one for one in dependents(look, each.table) if "foreign key" in one]
            message += f", and those of every table that points to it{f': {listed(known)}' if known else ''}"
        yield Remark(message=message)


@destructive(
    "DE009",
    "DELETE without WHERE",
    Severity.ERROR,
    why="All rows are gone but for the last backup. USING without WHERE, WHERE true, and WHERE x IS NOT NULL of a "
    "column that is NOT NULL leave none out either.",
    fix="say which rows with a WHERE",
    on=("delete",),
)
def delete(look: Look) -> Iterator[Remark]:
    """DELETE of everything."""
    for each in look.actions("delete"):
        if of_all_rows(look, each) and not is_own(look, each.table):
            yield Remark(message=f"all rows of {each.table} are gone")


@destructive(
    "DE010",
    "UPDATE without WHERE overwrites every row",
    Severity.ERROR,
    why="The old values are gone but for the last backup. (Filling a column that the same file adds is not meant.)",
    fix="say which rows with a WHERE, such as WHERE … IS NULL",
    on=("update",),
)
def update(look: Look) -> Iterator[Remark]:
    """UPDATE of everything, but for columns that are new."""
    for each in look.actions("update"):
        old = [name for name in each.names if not added_here(look, each.table, name)]
        if of_all_rows(look, each) and old and not is_own(look, each.table):
            names = listed(f"{each.table}.{name}" for name in dict.fromkeys(old))
            yield Remark(message=f"the values of {names} are overwritten in every row")


@destructive(
    "DE011",
    "a narrower type",
    Severity.ERROR,
    why="Values that do not fit are cut or rounded without a word where USING or the cast allows it, and otherwise the "
    "statement fails in production, on rows that the author's database does not have.",
    fix="add a column of the new type, copy what fits, and look at the rest",
    on=("alter type",),
)
def narrower(look: Look) -> Iterator[Remark]:
    """ALTER COLUMN TYPE to a type that holds less than the one that an earlier file gave."""
    for each in look.actions("alter type"):
        old = look.known.column(each.table, each.name)
        if old is None or each.column is None or is_own(look, each.table):
            continue
        if what := lost(old.type, each.column.type):
            yield Remark(message=f"{each.table}.{each.name} was {old.type} and becomes {each.column.type}: {what}")


@destructive(
    "DE023",
    "SQL that is put together while it runs, and destroys",
    Severity.ERROR,
    why="EXECUTE and \\gexec run a text that exists only then: which tables lose their rows, or go, depends on what "
    "the database has at that moment, and nobody can read it in the file.",
    fix="write the statements out, one for each table",
    on=("execute",),
)
def built(look: Look) -> Iterator[Remark]:
    """EXECUTE of a DROP, TRUNCATE, or DELETE or UPDATE of everything, whose name is open."""
    for each in look.actions("execute"):
        if verb := destroys(each.name):
            yield Remark(message=f"{verb} of whatever it finds is run: {shown(each.name)}")


OPEN, STAND_IN = "…", "a_name_known_later"
TAKES = ("drop table", "drop column", "drop schema", "drop materialized view", "drop database", "drop type", "truncate")


def destroys(text: str) -> str:
    """The verb of what takes data away in a text with … for what is open; empty where none does."""
    facts = facts_of(text.replace(OPEN, STAND_IN), detailed=True)
    for each in facts.actions:
        if each.what in TAKES or (each.what in ("update", "delete") and "where" not in each.flags):
            return each.what.upper()
    return ""


def shown(text: str) -> str:
    """Its beginning, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]}…"


# --- TimescaleDB ---------------------------------------------------------------------------------------------------


@destructive(
    "DE013",
    "drop_chunks takes rows for ever",
    Severity.ERROR,
    why="Whole chunks are gone, and a later refresh of a continuous aggregate over that time erases its buckets, too.",
    fix="leave it to a retention policy; keep what aggregates hold by refreshing only what has raw data",
    on=("call",),
)
def drop_chunks(look: Look) -> Iterator[Remark]:
    """A call of drop_chunks."""
    for each in look.calls("drop_chunks"):
        older, newer = argument(each, 1, "older_than"), argument(each, 2, "newer_than")
        span = " ".join([*([f"older than {older}"] if older else []), *([f"newer than {newer}"] if newer else [])])
        yield Remark(message=f"the chunks of {target(each) or 'a hypertable'} {span}".rstrip() + " are gone")


@destructive(
    "DE014",
    "retention becomes shorter",
    Severity.ERROR,
    why="The next run of the job drops what the old policy still kept; nothing asks again.",
    fix="keep the longer one until the rows are elsewhere",
    on=("call",),
)
def retention(look: Look) -> Iterator[Remark]:
    """add_retention_policy after a longer one that was removed, or alter_job with a shorter drop_after."""
    for each in look.calls("add_retention_policy"):
        old = look.known.retained.get(target(each))
        guarded = each.arguments.get("if_not_exists") is True or argument(each, 2) is True
        stays = guarded and ("add_retention_policy", target(each)) in look.known.policies
        stays = stays and not removed_before(look, each)
        if old and not stays:
            yield from _shorter(old, argument(each, 1, "drop_after"))
    if any(look.calls("alter_job")):
        yield from _altered(look)


def _altered(look: Look) -> Iterator[Remark]:
    """alter_job: which job it is stands in a subquery, if anywhere."""
    literals = look.facts.literals
    if not any("drop_after" in each for each in literals):
        return
    values = [found[1] or found[2] for each in literals for found in VALUE.finditer(each)]
    values += [each.strip('"') for each in literals if SPAN.fullmatch(each.strip('"'))]
    candidates = [each for each in look.known.retained.values() if each.target in literals]
    if not candidates and len(look.known.retained) == 1:
        candidates = list(look.known.retained.values())
    for each in candidates:
        for value in dict.fromkeys(values):
            yield from _shorter(each, value)


VALUE = regex(r'"drop_after"\s*:\s*(?:"([^"]+)"|(\d+))')
SPAN = regex(r"\d+\s+[a-z]+(?:\s+\d+\s+[a-z]+)*", re.IGNORECASE)


def _shorter(old: Policy, new: str | int | bool | None) -> Iterator[Remark]:
    before = old.arguments.get("drop_after", old.arguments.get("1"))
    was, becomes = seconds(before), seconds(new)
    if was is not None and becomes is not None and becomes < was:
        where = f"{old.place.path}:{old.place.line}"
        yield Remark(
            message=f"{old.target} was kept for {before} ({where}) and now is for {new}: what lies between is dropped"
        )


UNITS = {
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1,
    "sec": 1,
    "s": 1,
    "minute": 60,
    "min": 60,
    "m": 60,
    "hour": 3600,
    "h": 3600,
    "day": 86400,
    "d": 86400,
    "week": 7 * 86400,
    "w": 7 * 86400,
    "month": 30 * 86400,
    "mon": 30 * 86400,
    "year": 365.25 * 86400,
    "yr": 365.25 * 86400,
    "y": 365.25 * 86400,
}
PART = regex(r"(-?\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


def seconds(value: str | int | bool | None) -> float | None:
    """An interval's length, a month being 30 days; an integer as it is; None for what cannot be read."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int) or value.isdecimal():
        return float(value)
    total = 0.0
    if PART.sub("", value).strip(" ,"):
        return None
    for number, unit in PART.findall(value):
        size = UNITS.get(unit.lower(), UNITS.get(unit.lower().removesuffix("s")))
        if size is None:
            return None
        total += float(number) * size
    return total
