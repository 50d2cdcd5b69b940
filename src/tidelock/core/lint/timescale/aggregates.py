"""Continuous aggregates: how they lose history, and what they refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.facts.timescale import switched_on
from tidelock.core.lint.breaking import rebuilt_here
from tidelock.core.lint.edit import Edit, replace_first, rewritten
from tidelock.core.lint.known import key, target
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.interval import length, written
from tidelock.core.lint.timescale.sight import (
    bucket,
    in_block,
    lost,
    named_loss,
)
from tidelock.core.patterns import regex
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.lint.known import Aggregate
    from tidelock.core.lint.look import Look


@rule(
    "TS040",
    "an aggregate is filled while it is made",
    Severity.WARNING,
    why="WITH DATA is the default of CREATE MATERIALIZED VIEW: it computes the whole history in one go, and no "
    "transaction may hold it (25001), so the file falls into parts that are committed one by one. Cut off, it "
    "leaves an empty aggregate, which IF NOT EXISTS then passes over.",
    fix="write WITH NO DATA, and let the refresh policy fill it, or a CALL refresh_continuous_aggregate in the "
    "next file",
    on=("create aggregate",),
)
def with_data(look: Look) -> Iterator[Remark]:
    """CREATE MATERIALIZED VIEW … WITH DATA."""
    for each in look.actions("create aggregate"):
        if "with data" not in each.flags or in_block(look) or rebuilt_here(look, each.table):
            continue
        edit = _no_data(look.text)
        yield Remark(
            message=f"{each.table} is filled at once, outside of any transaction",
            rewrite=rewritten(look.text, edit),
            edit=edit if _policy_follows(look, each.table) else None,
        )


def _no_data(text: str) -> Edit:
    """WITH NO DATA at the end of the query."""
    if found := replace_first(text, r"\bWITH\s+DATA\s*;?\s*$", "WITH NO DATA"):
        return found
    end = len(text.rstrip().rstrip(";").rstrip())
    return Edit(end, end, "\nWITH NO DATA")


def _policy_follows(look: Look, name: str) -> bool:
    """A refresh policy later in the file looks at everything, so that WITH NO DATA ends in the same rows."""
    return any(
        call.name.endswith("add_continuous_aggregate_policy")
        and target(call) == key(name)
        and any(one in call.names for one in ("start_offset", "1"))
        for each in look.file.statements[look.number + 1 :]
        for call in each.facts.actions
        if call.what == "call"
    )


@rule(
    "TS041",
    "an aggregate WITH DATA in a DO block",
    Severity.ERROR,
    why="25001 `CREATE MATERIALIZED VIEW ... WITH DATA cannot be executed from a function`: a DO block is one, in a "
    "condition too.",
    fix="write WITH NO DATA; a guard is better written IF NOT EXISTS, outside of a block",
    on=("create aggregate",),
)
def in_a_block(look: Look) -> Iterator[str]:
    """CREATE MATERIALIZED VIEW … WITH DATA in DO."""
    for each in look.actions("create aggregate"):
        if "with data" in each.flags and in_block(look):
            yield f"{each.table} is made WITH DATA (the default), which no DO block may hold"


# --- how history is lost ---------------------------------------------------------------------------------------------


@rule(
    "TS042",
    "an aggregate is dropped with history that exists nowhere else",
    Severity.ERROR,
    why="An aggregate outlives its raw data: that is what it is for. Dropped and made anew, it holds what raw data "
    "still gives: with 180 days in the aggregate and 30 days of raw data one redeploy took it from 4,321 rows to "
    "783. Its policies, grants, comments and indexes go as well.",
    fix="make a new aggregate beside it; or write `-- tidelock: rebuild NAME` (kept and put back), or `-- tidelock: "
    "accept-loss NAME: reason`",
    on=("drop materialized view",),
)
def dropped(look: Look) -> Iterator[Remark]:
    """DROP MATERIALIZED VIEW of an aggregate whose raw data is dropped."""
    for each in look.actions("drop materialized view"):
        aggregate = look.known.aggregates.get(key(each.table))
        if aggregate and not named_loss(look, aggregate.name) and (what := lost(look, aggregate)):
            made = "; it is made again from what is left" if _made_again(look, aggregate.name) else ""
            yield Remark(message=f"{what}{made}", hint=_ways(look, aggregate))


def _made_again(look: Look, name: str) -> bool:
    return any(
        one.what == "create aggregate" and key(one.table) == name
        for each in look.file.statements[look.number :]
        for one in each.facts.actions
    )


def _ways(look: Look, aggregate: Aggregate) -> str:
    policies = look.known.refreshes.get(aggregate.name, [])
    also = (
        f" ({len(policies)} refresh {'policies' if len(policies) > 1 else 'policy'} to add again)" if policies else ""
    )
    return (
        f"keep {aggregate.name} and make the new one beside it{also}; `-- tidelock: rebuild {aggregate.name}` keeps "
        f"its rows and puts them back; `-- tidelock: accept-loss {aggregate.name}: reason` lets them go"
    )


@rule(
    "TS043",
    "CASCADE drops an aggregate",
    Severity.ERROR,
    why="DROP TABLE … CASCADE and DROP SCHEMA … CASCADE drop every aggregate that reads the table and all that it "
    "holds, with a NOTICE and nothing more. DROP COLUMN … CASCADE does so when the aggregate is real-time "
    "(materialized_only = false), with those above it and the views on it; for others it is refused (2BP01), by "
    "luck and not by design.",
    fix="leave CASCADE out; drop or rebuild the aggregate by name first",
    on=("drop column", "drop table", "drop materialized view", "drop schema"),
)
def cascades(look: Look) -> Iterator[str]:
    """CASCADE where an aggregate reads."""
    for each in look.actions("drop column", "drop table", "drop materialized view", "drop schema"):
        if "cascade" not in each.flags or (each.what == "drop materialized view" and rebuilt_here(look, each.table)):
            continue
        names = [name for name in dict.fromkeys(_taken(look, each)) if not named_loss(look, name)]
        if names:
            what = f"column {each.name} of {each.table}" if each.what == "drop column" else each.table
            yield f"{', '.join(names)} and all that {'it holds' if len(names) == 1 else 'they hold'} go with {what}"


def _taken(look: Look, action: Action) -> Iterator[str]:
    """The aggregates that CASCADE takes along."""
    if action.what == "drop schema":
        inside = f"{action.table}."
        sources = [name for name in look.known.tables if name.startswith(inside)]
    elif action.what == "drop column":
        readers = [one for one in look.known.aggregates.values() if one.source == key(action.table)]
        sources = [one.name for one in readers if action.name in one.columns]
        yield from sources
    else:
        sources = [action.table]
    for source in sources:
        yield from (one.name for one in look.known.aggregates_on(source))


@rule(
    "TS044",
    "an aggregate reads it",
    Severity.ERROR,
    why="While an aggregate reads a column, its type cannot change (0A000) and it cannot be dropped (2BP01), and the "
    "table cannot be dropped either.",
    fix="add a new column and a new aggregate over it; keep the old ones as long as their history is wanted",
    on=("alter type", "drop column", "drop table", "drop materialized view"),
    refused=(
        "0A000",
        "2BP01",
    ),
)
def read_by_aggregate(look: Look) -> Iterator[str]:
    """ALTER TYPE, DROP COLUMN, DROP TABLE, DROP MATERIALIZED VIEW of what an aggregate reads, without CASCADE."""
    gone = {key(each.table) for each in look.actions("drop table", "drop materialized view")}
    for each in look.actions("alter type", "drop column", "drop table", "drop materialized view"):
        if "cascade" in each.flags or "view" in each.flags:
            continue
        for one in look.known.aggregates.values():
            if one.source != key(each.table):
                continue
            if each.what in ("alter type", "drop column") and each.name not in one.columns:
                continue
            if one.name in gone and each.what == "drop table":
                continue
            what = f"column {each.name} of {each.table}" if each.what in ("alter type", "drop column") else each.table
            yield f"{one.name} reads {what}, so the server refuses"


@rule(
    "TS045",
    "a view replaces an aggregate",
    Severity.ERROR,
    why="CREATE OR REPLACE VIEW with the name of an aggregate and the same columns succeeds, and what readers see "
    "is the new query: 2,285 rows became 10. The aggregate beneath goes on, unseen.",
    fix="give the view another name. To mend one: ALTER MATERIALIZED VIEW NAME SET (timescaledb.materialized_only = …)",
    on=("create view",),
)
def replaced(look: Look) -> Iterator[str]:
    """CREATE OR REPLACE VIEW over an aggregate."""
    for each in look.actions("create view"):
        if look.known.is_aggregate(each.table):
            word = "replaces what readers of" if "replace" in each.flags else "has the name of"
            yield f"this view {word} {each.table}, a continuous aggregate" + (" see" if "replace" in each.flags else "")


@rule(
    "TS046",
    "an aggregate refuses it",
    Severity.ERROR,
    why="An aggregate is a view over a hypertable of its own, and takes neither what is for views nor what is for "
    "materialized views: DROP VIEW, ALTER VIEW, REFRESH MATERIALIZED VIEW, unique indexes, triggers, and changes "
    "of its columns are refused (0A000).",
    fix="DROP and ALTER MATERIALIZED VIEW, CALL refresh_continuous_aggregate; a new aggregate for another definition",
    refused=(
        "0A000",
        "42809",
    ),
)
def refused(look: Look) -> Iterator[Remark]:
    """Everything that an aggregate never takes."""
    for each in look.facts.actions:
        if look.known.is_aggregate(each.table) and (remark := _refusal(look, each)):
            yield remark


def _refusal(look: Look, action: Action) -> Remark | None:
    name = action.table
    if action.what in ("drop view", "drop table"):
        return _reworded(look, f"{name} is dropped with DROP MATERIALIZED VIEW", r"\b(VIEW|TABLE)\b")
    if "view" in action.flags and look.facts.command.startswith("ALTER VIEW"):
        return _reworded(look, f"{name} is altered with ALTER MATERIALIZED VIEW", r"\bVIEW\b")
    if action.what == "refresh materialized view":
        message = f"{name} is refreshed with refresh_continuous_aggregate"
        return Remark(message=message, hint=f"CALL refresh_continuous_aggregate('{name}', now() - INTERVAL '…', now())")
    if action.what == "create index" and "unique" in action.flags:
        return Remark(message=f"{name} takes no unique index", hint="its buckets are unique by GROUP BY already")
    if action.what == "create trigger":
        return Remark(message=f"{name} takes no trigger: {action.name}")
    if action.what == "add column" and not (action.column and action.column.generated == "stored"):
        return Remark(
            message=f"{action.name} has to be an aggregate of {name}'s query",
            hint=f"ALTER MATERIALIZED VIEW {name} ADD COLUMN {action.name} … GENERATED ALWAYS AS (sum(…)) STORED, "
            "since 2.28",
        )
    if action.what in ("drop column", "alter type", "add constraint", "set not null"):
        return Remark(message=f"{action.what.upper()} is refused on {name}: only SET options and names can be altered")
    return None


def _reworded(look: Look, message: str, pattern: str) -> Remark:
    edit = None if in_block(look) else replace_first(look.text, pattern, "MATERIALIZED VIEW")
    return Remark(message=message, rewrite=rewritten(look.text, edit) if edit else "")


@rule(
    "TS047",
    "an aggregate with another definition is passed over",
    Severity.ERROR,
    why="CREATE MATERIALIZED VIEW IF NOT EXISTS does not compare: an aggregate of that name stays as it is, with a "
    "NOTICE. The file is recorded as applied, and its columns are not there.",
    fix="give the new aggregate a name of its own, or drop the old one by name (which says what is lost)",
    on=("create aggregate",),
)
def other_definition(look: Look) -> Iterator[str]:
    """CREATE … IF NOT EXISTS with another query than that of an earlier statement."""
    for each in look.actions("create aggregate"):
        there = look.known.aggregates.get(key(each.table))
        if not there or "guarded" not in each.flags or there.definition == each.options.get("definition"):
            continue
        old, new = length(there.bucket), length(each.options.get("bucket", ""))
        width = f" with buckets of {written(old)}, not {written(new)}" if old and new and old != new else ""
        yield f"{there.name} stays as {there.place.path}:{there.place.line} defines it{width}"


@rule(
    "TS052",
    "an aggregate that cannot be made",
    Severity.ERROR,
    why="An aggregate reads at least one hypertable or aggregate, which has no row security, and its buckets are a "
    "multiple of those beneath (0A000). A year is no multiple of a week, and a month none of 7 days.",
    fix="choose a multiple of the width beneath, or read the hypertable itself",
    on=("create aggregate",),
    refused=("0A000",),
)
def cannot_be_made(look: Look) -> Iterator[str]:
    """CREATE MATERIALIZED VIEW (timescaledb.continuous) that the server refuses."""
    for each in look.actions("create aggregate"):
        tables = [look.known.table(name) for name in each.names]
        ours = [found for found in tables if found and (found.hypertable or look.known.is_aggregate(found.name))]
        if tables and not ours and all(found and found.whole for found in tables):
            yield f"none of {', '.join(each.names)} is a hypertable"
        for found in ours:
            if found.row_security:
                yield f"{found.name} has row security, over which no aggregate can be made"
        yield from _widths(look, each)


def _widths(look: Look, action: Action) -> Iterator[str]:
    beneath = next((name for name in action.names if look.known.is_aggregate(name)), "")
    old, new = bucket(look.known, beneath) if beneath else None, length(action.options.get("bucket", ""))
    calendar = regex(r"mon|year|decade|cent", re.IGNORECASE)
    below = look.known.aggregates[key(beneath)].bucket if beneath else ""
    if (
        old is None
        or new is None
        or bool(calendar.search(below)) != bool(calendar.search(action.options.get("bucket", "")))
    ):
        return
    if new < old or new % old:
        yield f"buckets of {written(new)} are no multiple of the {written(old)} of {beneath}"


@rule(
    "TS053",
    "an aggregate that computes raw rows at every read",
    Severity.NOTE,
    why="With materialized_only = false a read adds what is not materialized yet, from the raw hypertable: while the "
    "aggregate is empty, or its refresh policy stands still, every read computes everything.",
    fix="fill it before applications read it, or leave materialized_only at its default, true",
    optional=True,
    on=("create aggregate",),
)
def real_time(look: Look) -> Iterator[str]:
    """CREATE … WITH (timescaledb.materialized_only = false) WITH NO DATA."""
    for each in look.actions("create aggregate"):
        settings = dict(each.options)
        given = any(name.endswith(".materialized_only") for name in settings)
        if given and not switched_on(settings, "materialized_only") and "with data" not in each.flags:
            yield f"until {each.table} is refreshed, each read computes all of its raw rows"
