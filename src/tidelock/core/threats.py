"""What a statement may take from continuous aggregates, by its facts. Pure: which of it is there, the server knows.

drop        it drops something (with CASCADE: and what hangs on it)
refresh     it computes a range of an aggregate anew
empty       it removes rows of an aggregate: TRUNCATE, drop_chunks, DML on it or on the hypertable beneath
uproot      it removes rows that aggregates are computed from
thin        it removes some of them: nobody knows which
replace     CREATE OR REPLACE VIEW, or of the rule that a view is
create      an aggregate is made; IF NOT EXISTS may pass over one with another definition
refresh policy, retention policy     both together may erode an aggregate day by day
rewrite     chunks are written anew, which forgets defaults that the columnstore does not hold
job         a background job is run by hand
unseen      nobody can say what it does, or to which aggregate: the name is a variable or an expression
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core import parser
from tidelock.core.facts import facts_of, functions
from tidelock.core.facts.timescale import FUNCTIONS
from tidelock.core.facts.tree import identifier
from tidelock.core.patterns import regex
from tidelock.core.rebuilding import appended
from tidelock.core.statement import Ending, Kind, Object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.action import Action
    from tidelock.core.statement import Facts, Statement


class How(StrEnum):
    """In what way."""

    DROP = "drop"
    REFRESH = "refresh"
    EMPTY = "empty"
    UPROOT = "uproot"
    THIN = "thin"
    REPLACE = "replace"
    CREATE = "create"
    REFRESH_POLICY = "refresh policy"
    RETENTION_POLICY = "retention policy"
    REWRITE = "rewrite"
    JOB = "job"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range, as the file writes it: a value, an age (an interval before now), or neither: open."""

    value: str = ""
    age: bool = False


OPEN = Bound()
NOTHING = Object("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """One thing that a statement may take."""

    how: How
    what: Object = NOTHING
    """What it names; the kind `owner` for DROP OWNED."""
    cascade: bool = False
    start: Bound = OPEN
    end: Bound = OPEN
    """Of a refresh; of policies `start` is the start_offset or drop_after."""
    guarded: bool = False
    action: Action | None = None


WORDS = regex(
    r"\b(?:DROP|TRUNCATE|CASCADE|DELETE|UPDATE|MERGE|REPLACE|MATERIALIZED|VACUUM|CLUSTER|DEFAULT|(?:UN)?LOGGED|\w*SERIAL\d?)\b"
    r"|refresh_continuous|drop_chunks|run_job|_polic(?:y|ies)\b|\w_chunks?\b|_materialized_hypertable_|_hyper_\d",
    re.IGNORECASE,
)
"""Without one of these words in it, a statement that can be read takes nothing."""

REMOVES = regex(r"\b(?:DELETE|UPDATE|MERGE)\b", re.IGNORECASE)
INTERNAL = regex(r"_materialized_hypertable_\d+|(?:compress)?_hyper_\d+_\d+_chunk")


def threats(statement: Statement) -> tuple[Threat, ...]:
    """What it may take; empty for most. A refresh that is appended to a file is done with care."""
    if appended(statement):
        return ()
    if unseen(statement):
        hidden: tuple[Threat, ...] = (Threat(how=How.UNSEEN),)
    else:
        hidden = ()
    if statement.pieces or not WORDS.search(statement.text):
        return hidden
    return (*_named(facts_of(statement.text, detailed=True), statement.text), *hidden)


def unseen(statement: Statement) -> bool:
    """Nobody can say what it does: built while it runs, not readable, or code of somebody's."""
    facts = statement.facts
    if statement.pieces or statement.ending is Ending.GEXEC or facts.kind is Kind.UNKNOWN:
        return True
    if facts.kind is not Kind.CODE:
        return False
    return bool(foreign(facts)) or (facts.command == "DO" and not _static(statement.text))


def foreign(facts: Facts) -> list[str]:
    """Functions it calls that are neither PostgreSQL's nor TimescaleDB's."""
    known = (functions.READS, functions.VARIES, functions.ACTS)
    bare = {each.removeprefix("pg_catalog.") for each in facts.calls if each.rpartition(".")[2] not in FUNCTIONS}
    return sorted(each for each in bare if not any(each in some for some in known))


def stores_code(statement: Statement) -> bool:
    """Statements after it may set off what nobody sees in them: it makes a function, a rule or a view, or may have."""
    facts = statement.facts
    kinds = {each.kind for each in facts.creates}
    return (
        facts.body is not None
        or bool(kinds & {"function", "procedure", "rule"})
        or ("view" in kinds and not facts.calls <= functions.READS)
        or unseen(statement)
    )


def _static(text: str) -> bool:
    """The body of a DO block can be read, and nothing in it is built while it runs."""
    if re.search(r"\bEXECUTE\b|\bLANGUAGE\s+(?!'?plpgsql\b)", text, re.IGNORECASE):
        return False
    try:
        return bool(parser.parse_plpgsql(text))
    except parser.Unreadable:
        return False


def _named(facts: Facts, text: str) -> Iterator[Threat]:
    for each in facts.drops:
        if each.kind != "job" and (facts.cascade or each.kind == "materialized view" or _internal(each.name)):
            yield Threat(how=How.DROP, what=each, cascade=facts.cascade)
    for before, _ in facts.renames:  # by its new name nobody would know a chunk
        if _internal(before.name):
            yield Threat(how=How.EMPTY, what=before)
    for action in facts.actions:
        yield from _of_action(action)
    if REMOVES.search(text) and facts.body is None:
        stored = {each.table for each in facts.locks if facts.command == "PREPARE" and each.mode == "RowExclusive"}
        cleared = {each.table for each in facts.actions if each.what == "truncate"}
        for name in sorted((facts.writes | stored) - cleared):
            yield Threat(how=How.EMPTY, what=relation(name))


def _internal(name: str) -> bool:
    return INTERNAL.fullmatch(name) is not None


def _of_action(action: Action) -> Iterator[Threat]:
    table = relation(action.table)
    match action.what:
        case "call":
            yield from _of_call(action)
        case "drop owned":
            yield Threat(how=How.DROP, what=Object("owner", action.name), cascade=True)
        case "truncate":
            yield Threat(how=How.EMPTY, what=table)
            yield Threat(how=How.UPROOT, what=table)
        case "delete":
            yield Threat(how=How.THIN if "where" in action.flags else How.UPROOT, what=table)
        case "create view" if "replace" in action.flags and "temporary" not in action.flags:
            yield Threat(how=How.REPLACE, what=table)
        case "create rule" if {"replace", "select"} <= action.flags:
            yield Threat(how=How.REPLACE, what=table)
        case "create aggregate":
            yield Threat(how=How.CREATE, what=table, guarded="guarded" in action.flags, action=action)
        case "vacuum full" | "cluster" | "set logged" | "set unlogged":
            yield Threat(how=How.REWRITE, what=table, action=action)
        case "add column" if action.column is not None and (action.column.serial or action.column.default):
            yield Threat(how=How.REWRITE, what=table, action=action)


def _of_call(action: Action) -> Iterator[Threat]:
    name = action.name.rpartition(".")[2]
    on = relation(str(first(action, "continuous_aggregate", "relation", "hypertable", "chunk") or ""))
    match name:
        case "refresh_continuous_aggregate":
            start, end = bound(action, 1, "window_start"), bound(action, 2, "window_end")
            yield Threat(how=How.REFRESH if on.name else How.UNSEEN, what=on, start=start, end=end)
        case "drop_chunks":
            end = bound(action, 1, "older_than")
            start = bound(action, 2, "newer_than")
            yield Threat(how=How.EMPTY if on.name else How.UNSEEN, what=on, start=start, end=_ago(end))
            yield Threat(how=How.UPROOT, what=on, start=start, end=_ago(end))
        case "detach_chunk":
            yield Threat(how=How.EMPTY if on.name else How.UNSEEN, what=on)
        case "run_job":
            yield Threat(how=How.JOB, what=Object("job", str(first(action, "job_id") or "")))
        case "cagg_migrate":
            yield Threat(how=How.UNSEEN)
        case "reorder_chunk" | "move_chunk" | "merge_chunks" | "merge_chunks_concurrently" | "add_reorder_policy":
            yield Threat(how=How.REWRITE, what=on, action=action)
        case "compress_chunk" if action.arguments.get("recompress") is True:
            yield Threat(how=How.REWRITE, what=on, action=action)
        case "decompress_chunk":
            yield Threat(how=How.REWRITE, what=on, action=action)
        case _:
            yield from _of_policy(name, on, action)


def _of_policy(name: str, on: Object, action: Action) -> Iterator[Threat]:
    match name:
        case "add_continuous_aggregate_policy":
            given = bound(action, 1, "start_offset")
            known = given.value or any(each in action.names for each in ("start_offset", "1"))
            if known:
                guarded = action.arguments.get("if_not_exists") is True
                yield Threat(how=How.REFRESH_POLICY, what=on, start=given, guarded=guarded)
        case "add_retention_policy":
            guarded = action.arguments.get("if_not_exists") is True
            kept = bound(action, 1, "drop_after")
            kept = kept if kept.value else bound(action, -1, "drop_created_before")
            yield Threat(how=How.RETENTION_POLICY, what=on, start=kept, guarded=guarded)
        case "add_policies" | "alter_policies":
            if (kept := bound(action, 5, "drop_after")).value:
                yield Threat(how=How.RETENTION_POLICY, what=on, start=kept)
            if any(each in action.names for each in ("refresh_start_offset", "2")):
                yield Threat(how=How.REFRESH_POLICY, what=on, start=bound(action, 2, "refresh_start_offset"))


def first(action: Action, *names: str) -> str | int | bool | None:
    """The first argument, or the one of such a name."""
    return next((action.arguments[each] for each in ("0", *names) if each in action.arguments), None)


def bound(action: Action, place: int, name: str) -> Bound:
    """An end of a range: a constant or an age; open for NULL, for what is not given and for what cannot be read."""
    for key in (name, str(place)):
        if key in action.options:
            return Bound(action.options[key], age=True)
        value = action.arguments.get(key)
        if value is not None and not isinstance(value, bool):
            return Bound(str(value))
    return OPEN


def _ago(end: Bound) -> Bound:
    """older_than as an interval counts from now."""
    from tidelock.core.lint.timescale.interval import seconds

    return Bound(end.value, age=True) if not end.age and seconds(end.value) is not None else end


def relation(text: str) -> Object:
    """A relation by a name as it is written in SQL or in a string."""
    schema, _, name = text.rpartition(".") if '"' not in text else ("", "", "")
    if not name:
        schema, name = identifier(text)
    return Object("table", name, schema)
