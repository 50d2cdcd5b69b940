"""Policies: those that contradict an earlier file, each other, or the aggregate they refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.known import REFRESHES, offsets
from tidelock.core.lint.rule import Remark, rule
from tidelock.core.lint.timescale.interval import length, written
from tidelock.core.lint.timescale.sight import (
    accepts_loss,
    bucket,
    columnstore,
    compress_after,
    drop_after,
    end_offset,
    has_times,
    is_ours,
    is_repetition,
    kept,
    policies_added,
    retention,
    start_offset,
)
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.known import Known, Policy
    from tidelock.core.lint.look import Look

GUARDS = ("if_not_exists", "schedule_interval", "initial_start", "timezone", "0", "relation", "hypertable")
COLUMNSTORE = "add_compression_policy"


@rule(
    "TS070",
    "a policy with other arguments is passed over",
    Severity.ERROR,
    why="`if_not_exists => true` on a policy that is there already keeps the old one, whatever the new arguments are, "
    "and only warns: a retention of 90 days stayed when 10 were asked for. The file is recorded as applied, and the "
    "disk fills, or rows go that were to stay.",
    fix="remove the policy and add it again, in the same file",
    on=("call",),
)
def passed_over(look: Look) -> Iterator[Remark]:
    """The same policy with other arguments, guarded."""
    for action, asked in policies_added(look):
        there = look.known.policies.get((asked.kind, asked.target))
        if asked.kind == REFRESHES or there is None or not is_repetition(look, asked, action):
            continue
        old, new = _age_of(there), _age_of(asked)
        if old is not None and new is not None and length(old) != length(new):
            name = action.name.rpartition(".")[2]
            call = "CALL" if "columnstore" in name else "SELECT"
            gone = f"{call} {name.replace('add_', 'remove_', 1)}('{asked.target}', if_exists => true);"
            yield Remark(
                message=f"{asked.target} keeps its policy of {old} ({there.place.path}:{there.place.line}): {new} "
                "is not looked at",
                rewrite=f"{gone}\n{look.text}" if len(look.facts.actions) == 1 else gone,
            )


def _age_of(policy: Policy) -> str | int | bool | None:
    """What a policy is about: drop_after, compress_after, the index of a reorder policy."""
    return policy.given(1, "drop_after", "compress_after", "after", "index_name")


@rule(
    "TS071",
    "a policy that is there already",
    Severity.ERROR,
    why="A second policy of one kind without `if_not_exists => true` is refused: 42710 `policy already exists`. A "
    "hypertable that was made WITH (tsdb.hypertable) has a columnstore policy from the start.",
    fix="remove the first one in the same file, or delete the call",
    on=("call",),
    refused=("42710",),
)
def twice(look: Look) -> Iterator[str]:
    """The same policy a second time, not guarded."""
    for _, asked in policies_added(look):
        there = look.known.policies.get((asked.kind, asked.target))
        if asked.kind == REFRESHES or there is None or asked.arguments.get("if_not_exists") is True:
            continue
        yield f"{asked.target} has such a policy since {there.place.path}:{there.place.line}"


@rule(
    "TS072",
    "two refresh policies over the same time",
    Severity.ERROR,
    why="An aggregate may have several refresh policies, each over a range of its own. Ranges that overlap are "
    "refused, with if_not_exists too: 22023 `refresh interval overlaps with an existing continuous aggregate policy`.",
    fix="remove the first policy in the same file, or let the ranges touch: end_offset of one = start_offset of "
    "the other",
    on=("call",),
    refused=("22023",),
)
def overlapping(look: Look) -> Iterator[Remark]:
    """add_continuous_aggregate_policy over a range that another one refreshes."""
    for _, asked in policies_added(look, "continuous_aggregate"):
        mine = _range(asked)
        for there in look.known.refreshes.get(asked.target, []):
            theirs = _range(there)
            if offsets(there) == offsets(asked) or (mine is not None and mine == theirs):
                if asked.arguments.get("if_not_exists") is not True:
                    yield Remark(message=f"{asked.target} has this refresh policy since {there.place.path}")
            elif mine and theirs and mine[1] < theirs[0] and theirs[1] < mine[0]:
                yield Remark(
                    message=f"{asked.target} is refreshed from {_words(theirs)} ago already "
                    f"({there.place.path}:{there.place.line}), and {_words(mine)} overlaps that",
                    rewrite=f"SELECT remove_continuous_aggregate_policy('{asked.target}', if_exists => "
                    f"true);\n{look.text}",
                )


def _range(policy: Policy) -> tuple[float, float] | None:
    """From how long ago to how long ago it refreshes."""
    start, end = start_offset(policy), end_offset(policy)
    return None if start is None or end is None else (start, end)


def _words(span: tuple[float, float]) -> str:
    return f"{kept(span[0])} to {written(span[1])}"


@rule(
    "TS073",
    "a refresh window of less than two buckets",
    Severity.ERROR,
    why="From start_offset to end_offset there have to be at least two buckets: 22023 `policy refresh window too "
    "small`.",
    fix="make start_offset larger",
    on=("call",),
    refused=("22023",),
)
def window_too_small(look: Look) -> Iterator[str]:
    """start_offset - end_offset < 2 buckets."""
    for _, asked in policies_added(look, "continuous_aggregate"):
        start, end, width = start_offset(asked), end_offset(asked), bucket(look.known, asked.target)
        if any(isinstance(each, int) for each in offsets(asked)):
            continue
        if start is not None and end is not None and width and start - end < 2 * width:
            yield (
                f"from {kept(start)} to {written(end)} ago there are {max(start - end, 0) / width:g} buckets of "
                f"{written(width)}, and {asked.target} needs 2: start_offset at least {written(end + 2 * width)}"
            )


# --- what is left when raw data goes ---------------------------------------------------------------------------------


@rule(
    "TS074",
    "a refresh policy erodes the aggregate's history",
    Severity.ERROR,
    why="A refresh computes its window anew. Where retention has dropped the raw rows it computes nothing, and deletes "
    "the buckets: with 30 days of raw data and a start_offset of 45 days an aggregate went from 2,173 to 1,828 rows, "
    "with NULL to 733, without an error. It goes on day by day.",
    fix="make start_offset at most as long as drop_after; `-- tidelock: accept-loss NAME: why` lets the buckets go",
    on=("call",),
)
def erodes(look: Look) -> Iterator[Remark]:
    """A refresh policy that looks back further than raw data is kept; found at whichever comes second."""
    for refresh, keeps, source in _pairs(look):
        start, after = start_offset(refresh), drop_after(keeps)
        if start is not None and after is not None and start > after and not accepts_loss(look, refresh.target):
            yield Remark(
                message=f"{refresh.target} is refreshed {kept(start)} back and {source} keeps {written(after)}: every "
                f"refresh deletes the buckets between",
                hint=f"start_offset => INTERVAL '{written(after)}' at most, or keep {source} longer"
                + ("" if start == float("inf") else f" than {written(start)}"),
            )


def _pairs(look: Look) -> Iterator[tuple[Policy, Policy, str]]:
    """(refresh policy, retention of what it reads, the name of that), where the statement adds one of the two."""
    known = look.known
    for _, asked in policies_added(look, "continuous_aggregate"):
        aggregate = known.aggregates.get(asked.target)
        keeps = retention(known, aggregate.source) if aggregate else None
        if aggregate and keeps:
            yield asked, keeps, aggregate.source
    for action, asked in policies_added(look, "retention"):
        if is_repetition(look, asked, action):
            continue
        for refresh in _refreshes_of(known, asked.target):
            yield refresh, asked, asked.target


def _refreshes_of(known: Known, source: str) -> Iterator[Policy]:
    """The refresh policies of the aggregates that read a table directly."""
    for each in known.aggregates.values():
        if each.source == source:
            yield from known.refreshes.get(each.name, [])


@rule(
    "TS075",
    "raw rows go before they are aggregated",
    Severity.WARNING,
    why="Retention drops chunks whether their rows are in the aggregate or not. Without a refresh policy, or with one "
    "whose end_offset is as long as drop_after, they never get there.",
    fix="add a refresh policy before the retention policy, with an end_offset shorter than drop_after",
    on=("call",),
)
def never_aggregated(look: Look) -> Iterator[str]:
    """Retention on a hypertable whose aggregates nobody refreshes, or too late."""
    for action, asked in policies_added(look, "retention"):
        after = drop_after(asked)
        for each in look.known.aggregates.values():
            if each.source != asked.target or is_repetition(look, asked, action):
                continue
            refreshes = look.known.refreshes.get(each.name, [])
            if not refreshes and not _refreshed_later(look, each.name):
                yield f"{asked.target} drops its rows, and no policy brings them into {each.name} before"
    for refresh, keeps, source in _pairs(look):
        end, after = end_offset(refresh), drop_after(keeps)
        ends = [end_offset(each) for each in look.known.refreshes.get(refresh.target, [])]
        if end is not None and after is not None and min([end, *(each for each in ends if each is not None)]) >= after:
            yield f"{source} keeps {written(after)}, and {refresh.target} leaves out the last {written(end)}"


def _refreshed_later(look: Look, name: str) -> bool:
    """A later statement of the same file adds the refresh policy."""
    return any(
        call.name.rpartition(".")[2] == REFRESHES and name in map(str, call.arguments.values())
        for each in look.file.statements[look.number + 1 :]
        for call in each.facts.actions
        if call.what == "call"
    )


@rule(
    "TS076",
    "a columnstore policy without columnstore",
    Severity.ERROR,
    why="A policy that compresses needs columnstore enabled: 0A000 `columnstore not enabled on hypertable`.",
    fix="enable it first: ALTER TABLE … SET (timescaledb.enable_columnstore, timescaledb.segmentby = '…')",
    on=("call",),
    refused=("0A000",),
)
def no_columnstore(look: Look) -> Iterator[Remark]:
    """add_compression_policy or add_columnstore_policy on what has it not enabled."""
    for _, asked in policies_added(look, "columnstore"):
        if not is_ours(look.known, asked.target) or columnstore(look.known, asked.target):
            continue
        kind = "MATERIALIZED VIEW" if look.known.is_aggregate(asked.target) else "TABLE"
        yield Remark(
            message=f"no file has enabled columnstore on {asked.target}",
            rewrite=f"ALTER {kind} {asked.target} SET (timescaledb.enable_columnstore);\n{look.text}",
        )


@rule(
    "TS077",
    "retention drops chunks before they are compressed",
    Severity.NOTE,
    why="When drop_after is not longer than the age at which chunks are compressed, nothing is ever compressed, or "
    "it is compressed and dropped soon after: work for nothing.",
    fix="compress earlier, keep longer, or do without one of the two",
    on=("call",),
)
def compressed_in_vain(look: Look) -> Iterator[str]:
    """drop_after ≤ compress_after."""
    for _, asked in policies_added(look, "retention", "columnstore"):
        other = retention(look.known, asked.target) or look.known.policy("columnstore", asked.target)
        keeps = asked if asked.kind != COLUMNSTORE else retention(look.known, asked.target)
        packs = asked if asked.kind == COLUMNSTORE else look.known.policy("columnstore", asked.target)
        after, age = drop_after(keeps), compress_after(packs)
        if other and after is not None and age is not None and after <= age:
            yield f"{asked.target} drops chunks after {written(after)} and compresses them after {written(age)}"


@rule(
    "TS078",
    "a refresh window within compressed buckets",
    Severity.NOTE,
    why="A refresh of an aggregate writes into chunks that its columnstore policy has compressed already: they are "
    "decompressed in part and compressed again, each time. The server accepts it.",
    fix="compress the aggregate after its start_offset",
    on=("call",),
)
def refreshes_compressed(look: Look) -> Iterator[str]:
    """compress_after of an aggregate < start_offset of its refresh policy."""
    for _, asked in policies_added(look, "columnstore", "continuous_aggregate"):
        packs = asked if asked.kind == COLUMNSTORE else look.known.policy("columnstore", asked.target)
        refreshes = [asked] if asked.kind == REFRESHES else look.known.refreshes.get(asked.target, [])
        age = compress_after(packs)
        for refresh in refreshes:
            start = start_offset(refresh)
            if age is not None and start is not None and age < start and look.known.is_aggregate(asked.target):
                yield f"{asked.target} is compressed after {written(age)} and refreshed {kept(start)} back"


@rule(
    "TS079",
    "a refresh brings back what retention drops",
    Severity.NOTE,
    why="When an aggregate's own retention is shorter than its start_offset, each refresh computes buckets that "
    "the next run of retention drops.",
    fix="make start_offset at most as long as the aggregate's drop_after",
    on=("call",),
)
def brought_back(look: Look) -> Iterator[str]:
    """drop_after of an aggregate < start_offset of its refresh policy."""
    for _, asked in policies_added(look, "retention", "continuous_aggregate"):
        if not look.known.is_aggregate(asked.target):
            continue
        keeps = asked if asked.kind != REFRESHES else retention(look.known, asked.target)
        refreshes = [asked] if asked.kind == REFRESHES else look.known.refreshes.get(asked.target, [])
        after = drop_after(keeps)
        for refresh in refreshes:
            start = start_offset(refresh)
            if after is not None and start is not None and after < start:
                yield f"{asked.target} keeps {written(after)} and is refreshed {kept(start)} back"


@rule(
    "TS080",
    "a number or text where an interval belongs",
    Severity.ERROR,
    why="For a timestamp the offsets of policies are intervals; a number, or text without INTERVAL, is refused "
    "(22023). Only hypertables with an integer time take numbers.",
    fix="write INTERVAL '30 days'",
    on=("call",),
    refused=("22023",),
)
def no_interval(look: Look) -> Iterator[Remark]:
    """drop_after => 30."""
    names = ("drop_after", "compress_after", "after", "start_offset", "end_offset", "1")
    for _, asked in policies_added(look):
        aggregate = look.known.aggregates.get(asked.target)
        table = look.known.table(aggregate.source if aggregate else asked.target)
        if not has_times(table):
            continue
        for name in names:
            value = asked.arguments.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                yield Remark(
                    message=f"{asked.target} is partitioned by a timestamp, and {value} is no interval",
                    hint=f"write INTERVAL '{value} days', if days are meant",
                )
